//! In: the tables. Out: a BPF program that finds a call's verdict by binary search. Never: a jump backwards; the kernel allows none.

use super::table::{ARM_PRIVATE, Abi, HIGHEST, X32_BIT, X32_HIGHEST, X32_REFUSED};

/// One instruction of classic BPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    /// Instructions skipped when a condition holds.
    pub(crate) jump_true: u8,
    /// Instructions skipped when it does not.
    pub(crate) jump_false: u8,
    pub(crate) value: u32,
}

/// Load the word at an offset of `seccomp_data`.
pub(super) const LOAD: u16 = 0x20;
pub(super) const JUMP: u16 = 0x05;
pub(super) const IF_EQUAL: u16 = 0x15;
pub(super) const IF_GREATER: u16 = 0x25;
pub(super) const IF_AT_LEAST: u16 = 0x35;
pub(super) const IF_ANY_BIT: u16 = 0x45;
pub(super) const AND: u16 = 0x54;
pub(super) const RETURN: u16 = 0x06;

/// Offsets in `seccomp_data`: the call's number, its architecture, the low half of its first argument (little endian).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// SECCOMP_RET_ALLOW.
pub(super) const ALLOW: u32 = 0x7fff_0000;
/// SECCOMP_RET_ERRNO; the number is added.
const ERRNO: u32 = 0x0005_0000;
pub(super) const EPERM: u32 = ERRNO | 1;
pub(super) const ENOSYS: u32 = ERRNO | 38;

/// Flags of clone that make namespaces: cgroup, uts, ipc, user, pid, net, mount.
const NAMESPACE_FLAGS: u32 = 0x7e02_0000;
/// Personalities steps may choose: Linux, 32-bit Linux, both without address randomisation off… and the question which one is in force.
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Sockets to the hypervisor are not separated by namespaces.
const AF_VSOCK: u32 = 40;
/// Rules per leaf of the search tree.
const LEAF_RULES: usize = 2;

/// SECCOMP_RET_TRACE: the follower of the process decides.
pub(super) const FOLLOWED: u32 = 0x7ff0_0000;
/// SECCOMP_RET_USER_NOTIF: the listener answers.
pub(super) const ANSWERED: u32 = 0x7fc0_0000;

/// What happens to one call.
struct Rule {
    number: u32,
    /// Ends in a verdict on every way.
    body: Vec<Instruction>,
}

const fn plain(code: u16, value: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, value }
}

/// The condition holds: go on. It does not: skip so many.
fn unless(code: u16, value: u32, skip: usize) -> Vec<Instruction> {
    match u8::try_from(skip) {
        Ok(skip) => vec![Instruction { code, jump_true: 0, jump_false: skip, value }],
        // Conditional jumps reach 255 instructions; an unconditional one reaches any.
        Err(_) => vec![
            Instruction { code, jump_true: 1, jump_false: 0, value },
            plain(JUMP, u32::try_from(skip).unwrap_or(u32::MAX)),
        ],
    }
}

/// The filter for some architectures of one machine. Calls of any other give ENOSYS. With a ticket, executions of the first architecture are followed.
pub(super) fn program(abis: &[Abi], ticket: Option<u32>) -> Vec<Instruction> {
    let mut program = vec![plain(LOAD, ARCHITECTURE)];
    for (index, &abi) in abis.iter().enumerate() {
        let section = section(abi, ticket.filter(|_| index == 0));
        program.extend(unless(IF_EQUAL, abi.audit_number(), section.len()));
        program.extend(section);
    }
    program.push(plain(RETURN, ENOSYS));
    program
}

/// A filter that follows executions of one architecture and allows everything else.
pub(super) fn following_program(abi: Abi, ticket: u32) -> Vec<Instruction> {
    let mut section = vec![plain(LOAD, NUMBER)];
    section.extend(tree(&following(abi, ticket)));
    let mut program = vec![plain(LOAD, ARCHITECTURE)];
    program.extend(unless(IF_EQUAL, abi.audit_number(), section.len()));
    program.extend(section);
    program.push(plain(RETURN, ALLOW));
    program
}

/// The rules of followed executions, ascending. The ticket call is answered when its first argument is the ticket, and refused otherwise.
fn following(abi: Abi, ticket: u32) -> Vec<Rule> {
    let calls = abi.executions();
    let answered = Rule {
        number: calls.ticket,
        body: vec![
            plain(LOAD, FIRST_ARGUMENT),
            Instruction { code: IF_EQUAL, jump_true: 0, jump_false: 1, value: ticket },
            plain(RETURN, ANSWERED),
            plain(RETURN, EPERM),
        ],
    };
    let mut rules = vec![refuse(calls.execve, FOLLOWED), refuse(calls.execveat, FOLLOWED), answered];
    rules.sort_by_key(|rule| rule.number);
    rules
}

fn section(abi: Abi, ticket: Option<u32>) -> Vec<Instruction> {
    let mut section = vec![plain(LOAD, NUMBER)];
    if abi == Abi::X86_64 {
        let mut x32 = vec![plain(AND, !X32_BIT)];
        x32.extend(limited(X32_HIGHEST, &[]));
        let mut rules = rules(abi);
        rules.extend(X32_REFUSED.map(|number| refuse(number, EPERM)));
        x32.extend(tree(&rules));
        section.extend(unless(IF_AT_LEAST, X32_BIT, x32.len()));
        section.extend(x32);
    }
    let allowed = if abi == Abi::Arm { Some(ARM_PRIVATE) } else { None };
    section.extend(limited(HIGHEST, allowed.as_slice()));
    let mut rules = rules(abi);
    if let Some(ticket) = ticket {
        let following = following(abi, ticket);
        rules.retain(|rule| following.iter().all(|other| other.number != rule.number));
        rules.extend(following);
        rules.sort_by_key(|rule| rule.number);
    }
    section.extend(tree(&rules));
    section
}

/// Calls above the highest known number do not exist, but for these ranges.
fn limited(highest: u32, allowed: &[std::ops::RangeInclusive<u32>]) -> Vec<Instruction> {
    let mut beyond = Vec::new();
    for range in allowed {
        // Below the range: skip the next test and the verdict. Above it: skip the verdict.
        beyond.extend([
            Instruction { code: IF_AT_LEAST, jump_true: 0, jump_false: 2, value: *range.start() },
            Instruction { code: IF_GREATER, jump_true: 1, jump_false: 0, value: *range.end() },
            plain(RETURN, ALLOW),
        ]);
    }
    beyond.push(plain(RETURN, ENOSYS));
    let mut test = unless(IF_GREATER, highest, beyond.len());
    test.extend(beyond);
    test
}

fn refuse(number: u32, verdict: u32) -> Rule {
    Rule { number, body: vec![plain(RETURN, verdict)] }
}

/// All rules of an architecture, ascending.
fn rules(abi: Abi) -> Vec<Rule> {
    let special = abi.special();
    let mut rules: Vec<Rule> = abi.refused().into_iter().map(|number| refuse(number, EPERM)).collect();
    rules.push(refuse(special.clone3, ENOSYS));
    rules.push(Rule {
        number: special.clone,
        body: vec![
            plain(LOAD, FIRST_ARGUMENT),
            Instruction { code: IF_ANY_BIT, jump_true: 0, jump_false: 1, value: NAMESPACE_FLAGS },
            plain(RETURN, EPERM),
            plain(RETURN, ALLOW),
        ],
    });
    rules.push(Rule {
        number: special.socket,
        body: vec![
            plain(LOAD, FIRST_ARGUMENT),
            Instruction { code: IF_EQUAL, jump_true: 0, jump_false: 1, value: AF_VSOCK },
            plain(RETURN, EPERM),
            plain(RETURN, ALLOW),
        ],
    });
    let mut body = vec![plain(LOAD, FIRST_ARGUMENT)];
    for value in PERSONALITIES {
        body.push(Instruction { code: IF_EQUAL, jump_true: 0, jump_false: 1, value });
        body.push(plain(RETURN, ALLOW));
    }
    body.push(plain(RETURN, EPERM));
    rules.push(Rule { number: special.personality, body });
    rules.sort_by_key(|rule| rule.number);
    rules
}

/// A search tree over rules in ascending order of numbers; what matches none is allowed.
fn tree(rules: &[Rule]) -> Vec<Instruction> {
    if rules.len() <= LEAF_RULES {
        let mut leaf = Vec::new();
        for rule in rules {
            leaf.extend(unless(IF_EQUAL, rule.number, rule.body.len()));
            leaf.extend(rule.body.iter().copied());
        }
        leaf.push(plain(RETURN, ALLOW));
        return leaf;
    }
    let (low, high) = rules.split_at(rules.len() / 2);
    let (pivot, low, high) = (high[0].number, tree(low), tree(high));
    let mut node = unless(IF_AT_LEAST, pivot, high.len());
    node.extend(high);
    node.extend(low);
    node
}
