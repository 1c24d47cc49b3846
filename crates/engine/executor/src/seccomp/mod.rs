//! In: this machine's architectures. Out: a classic BPF program that refuses dangerous system calls. Never: a call that puts it in force.
//!
//! The calls refused are those Docker's default profile refuses a container with the 14 default capabilities. The answer is EPERM, so that programs
//! fail as they do under Docker; `clone3`, whose flags a filter cannot see, and calls newer than the table give ENOSYS, so that libraries
//! fall back to what they used before. All architectures of the machine are served: linux/386 steps run on amd64, linux/arm steps on arm64.
//! Emulated steps make the machine's own calls and need nothing special.

mod assemble;
mod table;

pub(crate) use assemble::Instruction;

/// A machine whose calls the tables know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// amd64, and on it 386 and x32.
    X86,
    /// arm64, and on it arm.
    Arm,
    /// riscv64.
    Riscv64,
    /// loong64.
    Loong64,
}

impl Machine {
    /// The machine this program was built for; `None` when there is no table for it, and steps run without a filter.
    pub(crate) const fn current() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Arm)
        } else if cfg!(target_arch = "riscv64") {
            Some(Self::Riscv64)
        } else if cfg!(target_arch = "loongarch64") {
            Some(Self::Loong64)
        } else {
            None
        }
    }
}

const fn abis(machine: Machine) -> &'static [table::Abi] {
    match machine {
        Machine::X86 => &[table::Abi::X86_64, table::Abi::I386],
        Machine::Arm => &[table::Abi::Aarch64, table::Abi::Arm],
        Machine::Riscv64 => &[table::Abi::Riscv64],
        Machine::Loong64 => &[table::Abi::Loong64],
    }
}

/// The filter for a machine.
pub(crate) fn program(machine: Machine) -> Vec<Instruction> {
    assemble::program(abis(machine), None)
}

/// The filter for a machine that also stops every execution for the process that follows the step (docs/design/trace.md).
pub(crate) fn program_followed(machine: Machine, ticket: u32) -> Vec<Instruction> {
    assemble::program(abis(machine), Some(ticket))
}

/// Only that stop: for steps that may call anything.
pub(crate) fn only_followed(machine: Machine, ticket: u32) -> Vec<Instruction> {
    assemble::following_program(abis(machine)[0], ticket)
}

#[cfg(test)]
mod tests;
