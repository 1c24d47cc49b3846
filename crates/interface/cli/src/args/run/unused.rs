//! In: words behind `run` and `create` that have no effect here. Out: their values, as typed. Never: a meaning.

use clap::Args;

/// Flags of `run` and `create` that are taken for the sake of scripts.
#[derive(Debug, Args)]
pub struct UnusedArgs {
    #[arg(long, hide = true)]
    pub annotation: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub isolation: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub uts: Option<String>,
    #[arg(long, hide = true)]
    pub sysctl: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub domainname: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub mac_address: Option<String>,
    #[arg(long, hide = true)]
    pub oom_kill_disable: bool,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub health_cmd: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub health_interval: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub health_retries: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub health_start_interval: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub health_start_period: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub health_timeout: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub blkio_weight: Option<String>,
    #[arg(long, hide = true)]
    pub blkio_weight_device: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub cgroup_parent: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub cpu_period: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub cpu_quota: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub cpu_rt_period: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub cpu_rt_runtime: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub cpuset_mems: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub detach_keys: Option<String>,
    #[arg(long, hide = true)]
    pub device_cgroup_rule: Vec<String>,
    #[arg(long, hide = true)]
    pub device_read_bps: Vec<String>,
    #[arg(long, hide = true)]
    pub device_read_iops: Vec<String>,
    #[arg(long, hide = true)]
    pub device_write_bps: Vec<String>,
    #[arg(long, hide = true)]
    pub device_write_iops: Vec<String>,
    #[arg(long, hide = true)]
    pub disable_content_trust: bool,
    #[arg(long, hide = true, alias = "dns-opt")]
    pub dns_option: Vec<String>,
    #[arg(long, hide = true)]
    pub dns_search: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub ip: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub ip6: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub kernel_memory: Option<String>,
    #[arg(long, hide = true)]
    pub link_local_ip: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub memory_reservation: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub memory_swappiness: Option<String>,
    #[arg(long, hide = true, alias = "net-alias")]
    pub network_alias: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub oom_score_adj: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub runtime: Option<String>,
    #[arg(long, hide = true)]
    pub storage_opt: Vec<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub volume_driver: Option<String>,
}
