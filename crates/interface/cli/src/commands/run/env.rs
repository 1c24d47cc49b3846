//! In: `-e`, `--env-file`. Out: variables of a container. Never: a variable of the host that was not named.

use std::path::Path;

use crate::error::CliError;

/// Bytes of an environment file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Variables from files, of proxies, from flags; a later one of the same name counts. A proxy that a flag names is the
/// flag's.
pub fn variables(files: &[String], proxies: &[(String, String)], flags: &[String]) -> Result<Vec<String>, CliError> {
    let outside = |name: &str| std::env::var(name).ok();
    let mut all = Vec::new();
    for file in files {
        all.extend(read("read environment file", Path::new(file), &outside)?);
    }
    let named = |name: &str| flags.iter().any(|word| word.split('=').next() == Some(name));
    let proxies = proxies.iter().filter(|(name, _)| !named(name));
    all.extend(proxies.map(|(name, value)| format!("{name}={value}")));
    for word in flags {
        if word.is_empty() || word.starts_with('=') {
            return Err(CliError::Usage(format!("invalid environment variable: {word:?}")));
        }
        // Without a value it is passed on when it is set here, else taken away from the image's.
        let pair = if word.contains('=') {
            word.clone()
        } else {
            outside(word).map_or_else(|| word.clone(), |value| format!("{word}={value}"))
        };
        all.push(pair);
    }
    Ok(all)
}

/// Labels from files, which read as environment files do; a name alone has no value.
pub fn labels(files: &[String]) -> Result<Vec<String>, CliError> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read("read label file", Path::new(file), &|_| Some(String::new()))?);
    }
    Ok(all)
}

fn read(action: &'static str, path: &Path, outside: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, CliError> {
    let file = |source| CliError::File { action, path: path.display().to_string(), source };
    let size = fs_err::metadata(path).map_err(file)?.len();
    if size > FILE_BYTES_MAX {
        return Err(CliError::Usage(format!("{}: a file of {size} bytes is too long", path.display())));
    }
    let bytes = fs_err::read(path).map_err(file)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        CliError::Usage(format!("{}: invalid utf8 bytes at byte {}", path.display(), error.utf8_error().valid_up_to()))
    })?;
    parse(&text, outside)
        .map_err(|why| CliError::Usage(format!("poorly formatted environment: {}: {why}", path.display())))
}

/// Docker's rules: `#` begins a comment line, a value is taken as it stands, a name alone takes the value of outside.
fn parse(text: &str, outside: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let mut pairs = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
        let name = if value.is_none() { name.trim_end() } else { name };
        if name.contains(char::is_whitespace) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        match value {
            Some(value) => pairs.push(format!("{name}={value}")),
            None => pairs.extend(outside(name).map(|value| format!("{name}={value}"))),
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_gives_way_to_a_flag_and_to_no_file() {
        let proxies = [("A", "p"), ("B", "p"), ("C", "p")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let flags = ["B=mine".to_owned(), "C".to_owned()];
        assert_eq!(variables(&[], &proxies, &flags).unwrap(), ["A=p", "B=mine", "C"]);
    }

    #[test]
    fn files_as_docker_reads_them() {
        let outside = |name: &str| (name == "SET").then(|| "there".to_owned());
        let text = "\u{feff}# comment\n\n  A=1\nB= two words # kept \nSET\nUNSET\nC=\nD=x=y\r\n";
        assert_eq!(parse(text, &outside).unwrap(), ["A=1", "B= two words # kept ", "SET=there", "C=", "D=x=y"]);
        assert!(parse("a b=1", &outside).unwrap_err().contains("whitespaces"));
        assert!(parse("=1", &outside).unwrap_err().contains("no variable name"));
    }
}
