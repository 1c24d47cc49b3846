//! In: the programs. Out: their verdicts, by an interpreter of classic BPF, and by this kernel's own tables. Never: a filter in force.

use super::assemble::{
    ALLOW, AND, ANSWERED, ENOSYS, EPERM, FOLLOWED, IF_ANY_BIT, IF_AT_LEAST, IF_EQUAL, IF_GREATER, JUMP, LOAD, RETURN,
};
use super::table::{Abi, REFUSED};
use super::*;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;
const ARM: u32 = 0x4000_0028;
const X32: u32 = 0x4000_0000;

/// The verdict of a program on one call.
fn verdict(program: &[Instruction], audit: u32, number: u32, argument: u64) -> u32 {
    let mut data = [0_u8; 64];
    data[..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&audit.to_le_bytes());
    data[16..24].copy_from_slice(&argument.to_le_bytes());
    let (mut place, mut value) = (0, 0_u32);
    loop {
        let one = program[place];
        place += 1;
        let condition = match one.code {
            LOAD => {
                let offset = one.value as usize;
                value = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
                continue;
            }
            AND => {
                value &= one.value;
                continue;
            }
            JUMP => {
                place += one.value as usize;
                continue;
            }
            RETURN => return one.value,
            IF_EQUAL => value == one.value,
            IF_GREATER => value > one.value,
            IF_AT_LEAST => value >= one.value,
            IF_ANY_BIT => value & one.value != 0,
            code => panic!("unknown instruction {code:#x}"),
        };
        place += usize::from(if condition { one.jump_true } else { one.jump_false });
    }
}

#[test]
fn every_refused_call_is_refused_and_every_other_allowed() {
    let machines = [
        (Machine::X86, vec![(Abi::X86_64, X86_64), (Abi::I386, I386)]),
        (Machine::Arm, vec![(Abi::Aarch64, AARCH64), (Abi::Arm, ARM)]),
        (Machine::Riscv64, vec![(Abi::Riscv64, 0xc000_00f3)]),
        (Machine::Loong64, vec![(Abi::Loong64, 0xc000_0102)]),
    ];
    for (machine, abis) in machines {
        let program = program(machine);
        assert!(program.len() < 4096, "the kernel takes 4096 instructions");
        for (abi, audit) in abis {
            let refused = abi.refused();
            for number in 0..=470 {
                let wanted = match number {
                    435 => ENOSYS,
                    _ if refused.contains(&number) => EPERM,
                    _ => ALLOW,
                };
                assert_eq!(verdict(&program, audit, number, 0), wanted, "{abi:?} {number}");
            }
            assert_eq!(verdict(&program, audit, 471, 0), ENOSYS);
        }
        assert_eq!(verdict(&program, 0x1234, 1, 0), ENOSYS);
    }
}

#[test]
fn followed_executions_change_nothing_else() {
    for (machine, audit, execve, execveat, ticket) in
        [(Machine::X86, X86_64, 59, 322, 212), (Machine::Arm, AARCH64, 221, 281, 18)]
    {
        let (plain, followed, open) = (program(machine), program_followed(machine, 77), only_followed(machine, 77));
        for number in 0..=600 {
            let (wanted, wanted_open) = match number {
                _ if number == execve || number == execveat => (FOLLOWED, FOLLOWED),
                _ if number == ticket => (EPERM, EPERM),
                _ => (verdict(&plain, audit, number, 0), ALLOW),
            };
            assert_eq!(verdict(&followed, audit, number, 0), wanted, "{number}");
            assert_eq!(verdict(&open, audit, number, 0), wanted_open, "{number}");
        }
        assert_eq!(verdict(&followed, audit, ticket, 77), ANSWERED);
        assert_eq!(verdict(&open, audit, ticket, 77), ANSWERED);
        assert_eq!(verdict(&open, I386, 11, 0), ALLOW);
        assert_eq!(verdict(&followed, I386, 11, 0), verdict(&plain, I386, 11, 0));
        assert_eq!(verdict(&program_followed(Machine::X86, 77), X86_64, X32 | 212, 77), EPERM);
    }
}

#[test]
fn arguments_decide_where_they_must() {
    let x86 = program(Machine::X86);
    for (audit, clone, personality, socket) in
        [(X86_64, 56, 135, 41), (I386, 120, 136, 359), (X86_64, X32 | 56, X32 | 135, X32 | 41)]
    {
        assert_eq!(verdict(&x86, audit, clone, 0x0120_0011), ALLOW);
        for namespace in [0x0200_0000, 0x0002_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
            assert_eq!(verdict(&x86, audit, clone, namespace | 17), EPERM);
        }
        assert_eq!(verdict(&x86, audit, personality, 0xffff_ffff), ALLOW);
        assert_eq!(verdict(&x86, audit, personality, 8), ALLOW);
        assert_eq!(verdict(&x86, audit, personality, 0x0004_0000), EPERM);
        assert_eq!(verdict(&x86, audit, socket, 2), ALLOW);
        assert_eq!(verdict(&x86, audit, socket, 40), EPERM);
    }
}

#[test]
fn x32_and_private_calls_have_their_own_limits() {
    let x86 = program(Machine::X86);
    assert_eq!(verdict(&x86, X86_64, X32 | 165, 0), EPERM);
    assert_eq!(verdict(&x86, X86_64, X32 | 528, 0), EPERM);
    assert_eq!(verdict(&x86, X86_64, X32 | 520, 0), ALLOW);
    assert_eq!(verdict(&x86, X86_64, X32 | 548, 0), ENOSYS);
    assert_eq!(verdict(&x86, X86_64, 520, 0), ENOSYS);
    let arm = program(Machine::Arm);
    assert_eq!(verdict(&arm, ARM, 0xf_0005, 0), ALLOW);
    assert_eq!(verdict(&arm, ARM, 0xe_ffff, 0), ENOSYS);
    assert_eq!(verdict(&arm, ARM, 0xf_0100, 0), ENOSYS);
    assert_eq!(verdict(&arm, AARCH64, 0xf_0005, 0), ENOSYS);
}

#[test]
fn numbers_agree_with_the_headers_of_this_machine() {
    let headers =
        [("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/x86_64-linux-gnu/asm/unistd_32.h", 1)];
    for (header, column) in headers {
        let Ok(text) = fs_err::read_to_string(header) else {
            println!("skipped: {header} is not here");
            continue;
        };
        for (name, numbers) in REFUSED {
            let defined = text.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                (words.next() == Some("#define") && words.next()?.strip_prefix("__NR_") == Some(name))
                    .then(|| words.next()?.parse::<u32>().ok())?
            });
            // Headers of older kernels do not know the newest calls.
            if numbers[column] < 450 || defined.is_some() {
                assert_eq!(defined, (numbers[column] != u32::MAX).then_some(numbers[column]), "{name} in {header}");
            }
        }
    }
}
