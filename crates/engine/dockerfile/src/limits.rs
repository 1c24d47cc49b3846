//! In: nothing. Out: how large the inputs of this room may be, by name and unit. Never: a limit without a name.

/// Largest Dockerfile or ignore file read, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// Longest line of a Dockerfile outside heredocs, in bytes: the reference's scanner has the same limit.
pub const LINE_BYTES_MAX: usize = 65_535;

/// Most instructions in one Dockerfile.
pub const INSTRUCTIONS_MAX: usize = 10_000;

/// Most stages in one Dockerfile.
pub const STAGES_MAX: usize = 1_000;

/// Most heredocs of one instruction.
pub const HEREDOCS_MAX: usize = 100;

/// Largest result of one expansion, in bytes.
pub const EXPANSION_BYTES_MAX: usize = 1 << 20;

/// How deep `${a:-${b:-…}}` may nest.
pub const EXPANSION_DEPTH_MAX: usize = 64;

/// How many steps matching the patterns of one expansion (`${v#p}`, `${v//p/r}`) may take.
pub const PATTERN_STEPS_MAX: u64 = 10_000_000;

/// Most patterns in one ignore file.
pub const IGNORE_PATTERNS_MAX: usize = 10_000;

/// Longest pattern of an ignore file, in bytes.
pub const IGNORE_PATTERN_BYTES_MAX: usize = 4_096;
