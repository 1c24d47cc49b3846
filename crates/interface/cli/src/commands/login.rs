//! In: `login`, `logout`. Out: credentials checked with the registry and kept as Docker keeps them. Never: a password shown or logged.

use std::io::{BufRead, IsTerminal, Read, Write};

use crossdock_registry::{Client, Credentials, RegistryError, SavedWhere};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::args::images::{LoginArgs, LogoutArgs};
use crate::error::{CliError, result, say};

/// Longest user name or password, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// What Docker calls its own registry here.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// `login`
pub fn login(args: &LoginArgs) -> Result<(), CliError> {
    let client = Client::from_environment()?;
    for warning in client.warnings() {
        say(&format!("WARNING: {warning}"));
    }
    let server = args.server.as_deref().map(str::trim).unwrap_or_default();
    let host = host(server);
    let (user, password) = ask(args, &client, server)?;
    match client.log_in(&host, &user, &password) {
        Ok(()) => {}
        // One line that says which of the two is wrong is all the registry gives.
        Err(RegistryError::Unauthorized { message, .. }) => {
            return Err(CliError::LoginRefused { server: shown(server), user, message });
        }
        Err(error) => return Err(error.into()),
    }
    match client.credentials().save(server, &user, &password)? {
        SavedWhere::Helper(_) => {}
        SavedWhere::File(path) => {
            say("");
            say(&format!("WARNING! Your credentials are stored unencrypted in '{}'.", path.display()));
            say("Configure a credential helper to remove this warning. See");
            say("https://docs.docker.com/go/credential-store/");
            say("");
        }
    }
    result("Login Succeeded");
    Ok(())
}

/// `logout`
pub fn logout(args: &LogoutArgs) -> Result<(), CliError> {
    let server = args.server.as_deref().map(str::trim).unwrap_or_default();
    let credentials = Credentials::from_environment();
    // As the original, also where there are none: scripts log out of what they may never have logged in to.
    credentials.forget(server)?;
    result(&format!("Removing login credentials for {}", shown_key(server)));
    Ok(())
}

/// The registry a server argument means: `docker.io` for Docker Hub.
fn host(server: &str) -> String {
    let key = Credentials::key(server);
    if key == HUB_KEY { "docker.io".to_owned() } else { key.to_owned() }
}

fn shown(server: &str) -> String {
    let host = host(server);
    if host == "docker.io" { "Docker Hub".to_owned() } else { host }
}

fn shown_key(server: &str) -> String {
    Credentials::key(server).to_owned()
}

/// User name and password from the flags, standard input or the terminal.
fn ask(args: &LoginArgs, client: &Client, server: &str) -> Result<(String, String), CliError> {
    if args.password.is_some() {
        if args.password_stdin {
            return Err(CliError::Usage("--password and --password-stdin are mutually exclusive".to_owned()));
        }
        say("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if args.password_stdin {
        let Some(user) = args.username.clone().filter(|user| !user.is_empty()) else {
            return Err(CliError::Usage("Must provide --username with --password-stdin".to_owned()));
        };
        let mut text = String::new();
        let read = std::io::stdin().lock().take(ANSWER_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|source| CliError::File { action: "read", path: "standard input".to_owned(), source })?;
        let password = text.trim_end_matches(['\r', '\n']).to_owned();
        return checked(&user, password);
    }
    if let (Some(user), Some(password)) = (&args.username, &args.password) {
        return checked(user, password.clone());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Usage(
            "Cannot perform an interactive login from a non TTY device: give -u and --password-stdin".to_owned(),
        ));
    }
    let known = client.credentials().kept(server).ok().flatten().and_then(|kept| kept.user);
    let user = match &args.username {
        Some(user) => user.clone(),
        None => {
            let words = known.as_ref().map_or_else(|| "Username: ".to_owned(), |known| format!("Username ({known}): "));
            let typed = question(&words, true)?;
            if typed.is_empty() { known.unwrap_or_default() } else { typed }
        }
    };
    let password = match &args.password {
        Some(password) => password.clone(),
        None => question("Password: ", false)?,
    };
    checked(&user, password)
}

fn checked(user: &str, password: String) -> Result<(String, String), CliError> {
    if user.trim().is_empty() {
        return Err(CliError::Usage("username is required".to_owned()));
    }
    if password.is_empty() {
        return Err(CliError::Usage("password is required".to_owned()));
    }
    Ok((user.trim().to_owned(), password))
}

/// Asks at the terminal; what is typed is seen only with `echo`.
fn question(words: &str, echo: bool) -> Result<String, CliError> {
    let failed = |source| CliError::File { action: "ask at", path: "the terminal".to_owned(), source };
    // Before the question is seen: whoever answers at once is not shown either.
    let quiet = if echo { None } else { Some(WithoutEcho::enter()) };
    let mut out = std::io::stdout();
    out.write_all(words.as_bytes()).and_then(|()| out.flush()).map_err(failed)?;
    let mut line = String::new();
    let read = std::io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut line);
    drop(quiet);
    if !echo {
        result("");
    }
    read.map_err(failed)?;
    let line = line.trim_end_matches(['\r', '\n']);
    Ok(if echo { line.trim().to_owned() } else { line.to_owned() })
}

/// A terminal that shows nothing of what is typed, until dropped.
struct WithoutEcho(Option<rustix::termios::Termios>);

impl WithoutEcho {
    fn enter() -> Self {
        let stdin = std::io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return Self(None) };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        let set = tcsetattr(&stdin, OptionalActions::Now, &quiet);
        Self(set.ok().map(|()| before))
    }
}

impl Drop for WithoutEcho {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_the_names_docker_gives_them() {
        assert_eq!(host(""), "docker.io");
        assert_eq!(host("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(host("docker.io"), "docker.io");
        assert_eq!(host("https://r.example:5000/v2/"), "r.example:5000");
        assert_eq!(shown_key(""), "https://index.docker.io/v1/");
    }
}
