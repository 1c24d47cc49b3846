//! In: the words behind `run` and `create`. Out: their flags, as typed. Never: a meaning.

pub mod unused;

use clap::{ArgAction, Args};

use super::switches;

/// `run`, `create`
#[derive(Debug, Args)]
// `-h` is the container's host name, as with Docker.
#[command(disable_help_flag = true)]
pub struct RunArgs {
    /// Platform of the image to run (default: the host's)
    #[arg(long)]
    pub platform: Option<String>,
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// Pass standard input on
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the process a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Run it in the background and print its ID
    #[arg(short, long)]
    pub detach: bool,
    /// Name of the container
    #[arg(long)]
    pub name: Option<String>,
    /// Environment variable; without a value it is taken from the environment
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// File with environment variables
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<String>,
    /// Show a directory or file of the host: HOST:CONTAINER[:ro]; CONTAINER alone makes a directory there
    #[arg(short, long = "volume", value_name = "HOST:CONTAINER[:ro]")]
    pub volumes: Vec<String>,
    /// The same in words: type=bind|tmpfs,source=…,target=…[,readonly]
    #[arg(long = "mount", value_name = "type=TYPE,…")]
    pub mounts: Vec<String>,
    /// Directory in memory: PATH[:size=…,mode=…,exec]
    #[arg(long, value_name = "PATH")]
    pub tmpfs: Vec<String>,
    /// Working directory
    #[arg(short, long)]
    pub workdir: Option<String>,
    /// User: name or number[:group]
    #[arg(short, long)]
    pub user: Option<String>,
    /// Program in place of the image's entrypoint
    #[arg(long)]
    pub entrypoint: Option<String>,
    /// Network: host (default; bridge means it, too) or none
    #[arg(long, alias = "net", default_value = "host")]
    pub network: String,
    /// Host name of the container
    #[arg(short = 'h', long)]
    pub hostname: Option<String>,
    /// Line for /etc/hosts: NAME:ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// Ports; the container is in the host's network, so they are the host's as they are
    #[arg(short, long)]
    pub publish: Vec<String>,
    #[arg(short = 'P', long, hide = true)]
    pub publish_all: bool,
    #[arg(long, hide = true)]
    pub expose: Vec<String>,
    /// When to pull the image: always, missing or never
    #[arg(long, default_value = "missing")]
    pub pull: String,
    /// Say nothing about pulling
    #[arg(short, long)]
    pub quiet: bool,
    /// All rights this user has: devices, every capability, no system call filter
    #[arg(long)]
    pub privileged: bool,
    /// Device of the host
    #[arg(long, value_name = "HOST[:CONTAINER]")]
    pub device: Vec<String>,
    /// The root cannot be written to
    #[arg(long)]
    pub read_only: bool,
    /// Resource limit: NAME=SOFT[:HARD]
    #[arg(long)]
    pub ulimit: Vec<String>,
    /// Size of /dev/shm: 64m
    #[arg(long)]
    pub shm_size: Option<String>,
    /// Label: NAME=VALUE
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// File with labels
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<String>,
    /// Signal that asks it to end
    #[arg(long)]
    pub stop_signal: Option<String>,
    /// Seconds it has for that
    #[arg(long)]
    pub stop_timeout: Option<u64>,
    /// Write the container's ID here
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<String>,
    /// Every container has a first process that collects orphans; accepted for scripts
    #[arg(long, hide = true)]
    pub init: bool,
    #[arg(long, hide = true)]
    pub security_opt: Vec<String>,
    #[arg(long, hide = true)]
    pub cap_add: Vec<String>,
    #[arg(long, hide = true)]
    pub cap_drop: Vec<String>,
    #[arg(long, hide = true)]
    pub gpus: Option<String>,
    #[arg(long, hide = true)]
    pub restart: Option<String>,
    #[arg(short, long, hide = true)]
    pub memory: Option<String>,
    #[arg(long, hide = true)]
    pub memory_swap: Option<String>,
    #[arg(long, hide = true)]
    pub cpus: Option<String>,
    #[arg(short, long, hide = true)]
    pub cpu_shares: Option<String>,
    #[arg(long, hide = true)]
    pub cpuset_cpus: Option<String>,
    #[arg(long, hide = true)]
    pub pids_limit: Option<String>,
    #[arg(long, hide = true)]
    pub ipc: Option<String>,
    #[arg(long, hide = true)]
    pub pid: Option<String>,
    #[arg(long, hide = true)]
    pub userns: Option<String>,
    #[arg(long, hide = true)]
    pub cgroupns: Option<String>,
    #[arg(long, hide = true)]
    pub dns: Vec<String>,
    #[arg(long, hide = true)]
    pub group_add: Vec<String>,
    #[arg(long, hide = true)]
    pub log_driver: Option<String>,
    #[arg(long, hide = true)]
    pub log_opt: Vec<String>,
    #[arg(long, hide = true)]
    pub volumes_from: Vec<String>,
    #[arg(long, hide = true)]
    pub link: Vec<String>,
    /// Show only these: stdin, stdout, stderr
    #[arg(short, long, value_name = "STREAM")]
    pub attach: Vec<String>,
    /// Pass signals on to the process, when it has no terminal
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, hide_default_value = true, value_name = "BOOL", value_parser = switches::parse, action = ArgAction::Set)]
    pub sig_proxy: bool,
    #[arg(long, hide = true)]
    pub no_healthcheck: bool,
    #[command(flatten)]
    pub unused: unused::UnusedArgs,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    pub help: Option<bool>,
    /// Image, command and arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE")]
    pub words: Vec<String>,
}

impl RunArgs {
    /// The image's name.
    pub fn image(&self) -> &str {
        self.words.first().map(String::as_str).unwrap_or_default()
    }

    /// What is to be run in it.
    pub fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}
