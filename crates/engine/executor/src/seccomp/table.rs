//! In: nothing. Out: the refused system calls, by name and number of each architecture. Never: code.

/// A set of call numbers, named by what the kernel reports as the architecture of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abi {
    /// Also x32, whose numbers carry [`X32_BIT`].
    X86_64,
    I386,
    Aarch64,
    Arm,
    Riscv64,
    Loong64,
}

/// Marks a call of the x32 ABI.
pub(super) const X32_BIT: u32 = 0x4000_0000;
/// x32 calls whose numbers are not those of x86-64: kexec_load and move_pages.
pub(super) const X32_REFUSED: [u32; 2] = [528, 533];
/// The highest number of the x32 ABI.
pub(super) const X32_HIGHEST: u32 = 547;
/// The highest number known when the table was made (Linux 6.18). From 424 on all architectures number alike.
pub(super) const HIGHEST: u32 = 470;
/// ARM keeps a few private calls (cacheflush, set_tls) here.
pub(super) const ARM_PRIVATE: std::ops::RangeInclusive<u32> = 0x000f_0000..=0x000f_00ff;

/// `clone`, `clone3`, `personality`, `socket`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Special {
    pub(super) clone: u32,
    pub(super) clone3: u32,
    pub(super) personality: u32,
    pub(super) socket: u32,
}

/// `execve`, `execveat`, and `lookup_dcookie`, which is refused otherwise and serves as a ticket for a descriptor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Executions {
    pub(super) execve: u32,
    pub(super) execveat: u32,
    pub(super) ticket: u32,
}

impl Abi {
    /// AUDIT_ARCH_… of the kernel.
    pub(super) const fn audit_number(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
            Self::Riscv64 => 0xc000_00f3,
            Self::Loong64 => 0xc000_0102,
        }
    }

    const fn column(self) -> usize {
        match self {
            Self::X86_64 => 0,
            Self::I386 => 1,
            Self::Aarch64 | Self::Riscv64 | Self::Loong64 => 2,
            Self::Arm => 3,
        }
    }

    /// Numbers of the calls that are looked at more closely.
    pub(super) const fn special(self) -> Special {
        match self {
            Self::X86_64 => Special { clone: 56, clone3: 435, personality: 135, socket: 41 },
            Self::I386 => Special { clone: 120, clone3: 435, personality: 136, socket: 359 },
            Self::Aarch64 | Self::Riscv64 | Self::Loong64 => {
                Special { clone: 220, clone3: 435, personality: 92, socket: 198 }
            }
            Self::Arm => Special { clone: 120, clone3: 435, personality: 136, socket: 281 },
        }
    }

    /// Numbers of the calls that matter when executions are followed; for the machine's own architecture.
    pub(super) const fn executions(self) -> Executions {
        match self {
            Self::X86_64 => Executions { execve: 59, execveat: 322, ticket: 212 },
            Self::I386 => Executions { execve: 11, execveat: 358, ticket: 253 },
            Self::Aarch64 | Self::Riscv64 | Self::Loong64 => Executions { execve: 221, execveat: 281, ticket: 18 },
            Self::Arm => Executions { execve: 11, execveat: 387, ticket: 249 },
        }
    }

    /// Numbers of the calls that are refused, ascending.
    pub(super) fn refused(self) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            REFUSED.iter().map(|row| row.1[self.column()]).filter(|&number| number != ABSENT).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// The architecture has no such call.
const ABSENT: u32 = u32::MAX;
const NO: u32 = ABSENT;

/// Name, then the number on x86-64, 386, the generic table (arm64, riscv64, loong64) and arm.
#[rustfmt::skip]
pub(super) const REFUSED: [(&str, [u32; 4]); 68] = [
    // Modules, kernels, devices
    ("create_module",    [174, 127, NO, NO]),
    ("delete_module",    [176, 129, 106, 129]),
    ("finit_module",     [313, 350, 273, 379]),
    ("get_kernel_syms",  [177, 130, NO, NO]),
    ("init_module",      [175, 128, 105, 128]),
    ("query_module",     [178, 167, NO, NO]),
    ("kexec_file_load",  [320, NO, 294, 401]),
    ("kexec_load",       [246, 283, 104, 347]),
    ("reboot",           [169, 88, 142, 88]),
    ("ioperm",           [173, 101, NO, NO]),
    ("iopl",             [172, 110, NO, NO]),
    ("vm86",             [NO, 166, NO, NO]),
    ("vm86old",          [NO, 113, NO, NO]),
    ("vhangup",          [153, 111, 58, 111]),
    // Mounts and namespaces
    ("mount",            [165, 21, 40, 21]),
    ("umount",           [NO, 22, NO, NO]),
    ("umount2",          [166, 52, 39, 52]),
    ("pivot_root",       [155, 217, 41, 218]),
    ("setns",            [308, 346, 268, 375]),
    ("unshare",          [272, 310, 97, 337]),
    ("sethostname",      [170, 74, 161, 74]),
    ("setdomainname",    [171, 121, 162, 121]),
    ("open_tree",        [428, 428, 428, 428]),
    ("open_tree_attr",   [467, 467, 467, 467]),
    ("move_mount",       [429, 429, 429, 429]),
    ("fsopen",           [430, 430, 430, 430]),
    ("fsconfig",         [431, 431, 431, 431]),
    ("fsmount",          [432, 432, 432, 432]),
    ("fspick",           [433, 433, 433, 433]),
    ("mount_setattr",    [442, 442, 442, 442]),
    // Files by handle, quotas, swap, old interfaces
    ("open_by_handle_at",[304, 342, 265, 371]),
    ("fanotify_init",    [300, 338, 262, 367]),
    ("lookup_dcookie",   [212, 253, 18, 249]),
    ("acct",             [163, 51, 89, 51]),
    ("quotactl",         [179, 131, 60, 131]),
    ("quotactl_fd",      [443, 443, 443, 443]),
    ("swapon",           [167, 87, 224, 87]),
    ("swapoff",          [168, 115, 225, 115]),
    ("nfsservctl",       [180, 169, 42, 169]),
    ("sysfs",            [139, 135, NO, 135]),
    ("_sysctl",          [156, 149, NO, 149]),
    ("uselib",           [134, 86, NO, 86]),
    ("ustat",            [136, 62, NO, 62]),
    ("syslog",           [103, 103, 116, 103]),
    // Time
    ("clock_settime",    [227, 264, 112, 262]),
    ("clock_settime64",  [NO, 404, NO, 404]),
    ("settimeofday",     [164, 79, 170, 79]),
    ("stime",            [NO, 25, NO, NO]),
    // Keys: not separated by namespaces
    ("add_key",          [248, 286, 217, 309]),
    ("keyctl",           [250, 288, 219, 311]),
    ("request_key",      [249, 287, 218, 310]),
    // Insight into the kernel and other processes
    ("bpf",              [321, 357, 280, 386]),
    ("perf_event_open",  [298, 336, 241, 364]),
    ("kcmp",             [312, 349, 272, 378]),
    ("pidfd_getfd",      [438, 438, 438, 438]),
    ("process_madvise",  [440, 440, 440, 440]),
    ("userfaultfd",      [323, 374, 282, 388]),
    ("io_uring_setup",   [425, 425, 425, 425]),
    ("io_uring_enter",   [426, 426, 426, 426]),
    ("io_uring_register",[427, 427, 427, 427]),
    // Placement of memory
    ("get_mempolicy",    [239, 275, 236, 320]),
    ("mbind",            [237, 274, 235, 319]),
    ("migrate_pages",    [256, 294, 238, 400]),
    ("move_pages",       [279, 317, 239, 344]),
    ("set_mempolicy",    [238, 276, 237, 321]),
    ("set_mempolicy_home_node", [450, 450, 450, 450]),
    // Security modules
    ("lsm_set_self_attr",[460, 460, 460, 460]),
    // New in 6.18, of no use in a build
    ("listns",           [470, 470, 470, 470]),
];
