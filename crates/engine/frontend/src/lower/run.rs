//! In: RUN. Out: an exec op. Never: a shell's work done here.

use crossdock_dockerfile::{CommandLine, Expander, Run, RunNetwork, RunSecurity, is_single_heredoc};
use crossdock_llb::{Edge, ExecMeta, ExecOp, Mount, MountKind, Network, Op, Security};

use super::mounts::Attached;
use super::stage::StageState;
use super::{Lowering, command_description};
use crate::error::ErrorKind;
use crate::plan::Step;
use crate::step_name::{expand_text, summarize_heredoc};

/// Where the script of a heredoc that begins with `#!` is found.
const SCRIPT_DIRECTORY: &str = "/dev/pipes";
const SCRIPT_MODE: u32 = 0o755;

/// What a RUN runs.
struct Process {
    args: Vec<String>,
    /// Name and content of the script to run, from a heredoc that begins with `#!`.
    script: Option<(String, String)>,
    /// What the screen shows behind the instruction's text.
    summary: String,
}

impl Lowering<'_> {
    pub(super) fn lower_run(&mut self, state: &mut StageState, step: &Step, run: &Run) -> Result<(), ErrorKind> {
        let network = self.network_of(run)?;
        let security = self.security_of(run)?;
        self.check_devices(run)?;
        let Process { args, script, summary } = process_of(state, run)?;
        let mut attached = vec![Attached::root(state.edge)];
        if let Some((name, content)) = script {
            let edge = self.inline_file(&name, SCRIPT_MODE, content.as_bytes());
            attached.push(Attached::readonly(SCRIPT_DIRECTORY, edge));
        }
        let given = self.lower_mounts(state, step, run)?;
        attached.extend(given.attached);
        if let Some(size_bytes) = self.setting.options.shm_size_bytes.filter(|size| *size > 0) {
            attached.push(Attached::empty("/dev/shm", MountKind::Tmpfs { size_bytes }));
        }
        let expander = Expander::for_display(self.setting.file.escape);
        // A secret in the environment is shown as stars, never as what a variable of its name held before.
        let mut shown = state.environment.clone();
        given.secret_env.iter().for_each(|secret| shown.set(&secret.name, "****"));
        let text = expand_text(&expander, &format!("{}{summary}", step.instruction.source), &shown);
        let name = self.step_name(state, &text);
        let history = format!("RUN {}{} # buildkit", state.argument_prefix(), args.join(" "));
        self.spend(state.environment.bytes() + history.len() + name.len())?;
        let (mounts, inputs) = arrange(attached);
        let mut meta = self.exec_meta(state, args);
        if let Some(socket) = &given.ssh_socket
            && !meta.env.iter().any(|pair| pair.starts_with("SSH_AUTH_SOCK="))
        {
            meta.env.push(format!("SSH_AUTH_SOCK={socket}"));
        }
        let exec = ExecOp { meta, mounts, network, security, secret_env: given.secret_env };
        let mut metadata = self.metadata(name, state.ignore_cache);
        metadata.description = command_description(&step.instruction.source);
        let edge = self.graph.add(Op::Exec(Box::new(exec)), inputs, Some(state.platform.clone()), metadata);
        state.edge = Some(edge);
        state.commit(history, Some(edge));
        Ok(())
    }

    /// The network of a RUN; the host's must be allowed by the client.
    fn network_of(&self, run: &Run) -> Result<Network, ErrorKind> {
        let options = self.setting.options;
        match run.network {
            RunNetwork::Default => Ok(options.network),
            RunNetwork::None => Ok(Network::None),
            RunNetwork::Host if options.entitlements.network_host => Ok(Network::Host),
            RunNetwork::Host => Err(ErrorKind::NotEntitled { what: "RUN --network=host", entitlement: "network.host" }),
        }
    }

    fn security_of(&self, run: &Run) -> Result<Security, ErrorKind> {
        match run.security {
            RunSecurity::Sandbox => Ok(Security::Sandbox),
            RunSecurity::Insecure if self.setting.options.entitlements.security_insecure => Ok(Security::Insecure),
            RunSecurity::Insecure => {
                Err(ErrorKind::NotEntitled { what: "RUN --security=insecure", entitlement: "security.insecure" })
            }
        }
    }

    /// There are no devices here: those a RUN can do without are passed over with a word.
    fn check_devices(&mut self, run: &Run) -> Result<(), ErrorKind> {
        match run.devices.iter().find(|device| device.required) {
            Some(device) => Err(ErrorKind::NoDevice(device.name.clone())),
            None => Ok(()),
        }
    }

    fn exec_meta(&self, state: &StageState, args: Vec<String>) -> ExecMeta {
        let options = self.setting.options;
        ExecMeta {
            args,
            env: state.environment.to_list(),
            cwd: state.directory(),
            user: state.image.config.user.clone(),
            proxy_env: self.setting.proxies.clone(),
            extra_hosts: options.extra_hosts.clone(),
            hostname: self.setting.hostname.clone(),
            ulimits: options.ulimits.clone(),
            cgroup_parent: options.cgroup_parent.clone(),
            remove_mount_stubs_recursive: true,
            valid_exit_codes: Vec::new(),
        }
    }
}

/// Arguments, the shell in front where the command is text (spec/dockerfile.md §1, "heredocs").
fn process_of(state: &StageState, run: &Run) -> Result<Process, ErrorKind> {
    let text = match &run.line {
        CommandLine::Exec(_) if !run.heredocs.is_empty() => return Err(ErrorKind::HeredocWithJson),
        CommandLine::Exec(args) if args.is_empty() => return Err(ErrorKind::NoArguments),
        CommandLine::Exec(args) => {
            return Ok(Process { args: args.clone(), script: None, summary: String::new() });
        }
        CommandLine::Shell(text) => text,
    };
    let in_shell = |text: String| {
        let mut args = state.shell();
        args.push(text);
        args
    };
    let [first, ..] = &run.heredocs[..] else {
        return Ok(Process { args: in_shell(text.clone()), script: None, summary: String::new() });
    };
    if !is_single_heredoc(text) {
        // The shell reads the heredocs itself.
        let mut whole = text.clone();
        for heredoc in &run.heredocs {
            whole.push('\n');
            whole.push_str(&heredoc.content);
            whole.push_str(&heredoc.name);
        }
        return Ok(Process { args: in_shell(whole), script: None, summary: String::new() });
    }
    let content = first.text();
    let summary = format!(" ({})", summarize_heredoc(&first.content));
    if state.image.os != "windows" && content.starts_with("#!") {
        let args = in_shell(format!("{SCRIPT_DIRECTORY}/{}", first.name));
        return Ok(Process { args, script: Some((first.name.clone(), content)), summary });
    }
    Ok(Process { args: in_shell(content), script: None, summary })
}

/// Mounts in the order of their places, each with its input and output numbers.
fn arrange(mut attached: Vec<Attached>) -> (Vec<Mount>, Vec<Edge>) {
    attached.sort_by(|left, right| left.dest.cmp(&right.dest));
    let mut inputs: Vec<Edge> = Vec::new();
    let mounts = attached.into_iter().map(|mount| {
        let input = mount.edge.map(|edge| {
            let at = inputs.iter().position(|known| *known == edge).unwrap_or_else(|| {
                inputs.push(edge);
                inputs.len() - 1
            });
            u32::try_from(at).expect("an instruction has fewer mounts than a line has bytes")
        });
        Mount {
            input,
            selector: mount.selector,
            // Changes of every other mount are thrown away, so the root is output 0.
            output: (mount.dest == "/").then_some(0),
            dest: mount.dest,
            readonly: mount.readonly,
            kind: mount.kind,
        }
    });
    let mounts = mounts.collect();
    (mounts, inputs)
}
