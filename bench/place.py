"""In: a command. Out: its wall time, CPU time and peak memory, with all that it started. Never: a shell or a start-up of a sandbox inside the measured time.

A place is a forked process that waits for commands. It runs them on the host, or inside the root of the peers, whose
namespaces it entered once at the beginning. Both ways are the same code, so that tools are measured alike.
"""
import contextlib
import ctypes
import json
import os
import resource  # noqa: F401  os.wait4 needs it, and inside the peers there is no Python to import it from
import time
import traceback

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
PR_SET_CHILD_SUBREAPER = 36
ORPHANS_WAIT_S = 5
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Failed(Exception):
    """A command ended with another status than 0."""


def enter(pid):
    """Enters the mount and pid namespaces of a process (the pid namespace counts for children)."""
    spaces = [(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY), flag) for kind, flag in (("pid", CLONE_NEWPID), ("mnt", CLONE_NEWNS))]
    for file, flag in spaces:
        if LIBC.setns(file, flag):
            raise OSError(ctypes.get_errno(), "setns")
    os.chdir("/")


def measured(argv, env, log):
    """Runs a command and waits for it, then for processes it left behind: their CPU time is its own."""
    null = os.open("/dev/null", os.O_RDWR)
    errors = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, errors, 2)]
    began = time.monotonic()
    pid = os.posix_spawnp(argv[0], argv, env, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - began
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    while time.monotonic() - began - wall < ORPHANS_WAIT_S:
        try:
            orphan, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if orphan == 0:
            time.sleep(0.002)
            continue
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
    text = b""
    if status:
        size = os.fstat(errors).st_size
        text = os.pread(errors, 3000, max(0, size - 3000))
    os.close(null)
    os.close(errors)
    return {"status": os.waitstatus_to_exitcode(status), "wall": wall, "cpu": cpu, "rss_kib": peak, "errors": text.decode(errors="replace")}


class Place:
    """`share` is the working directory as the commands see it."""

    def __init__(self, share, inside=None):
        self.share = share
        (requests_in, self.requests), (self.answers, answers_out) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            # The ends of other pipes must not stay open here: their readers wait for the last one to close.
            keep = {0, 1, 2, requests_in, answers_out}
            for file in map(int, os.listdir("/proc/self/fd")):
                if file not in keep:
                    with contextlib.suppress(OSError):
                        os.close(file)
            try:
                self.serve(requests_in, answers_out, inside)
            except BaseException:  # The process must not return into its parent's code.
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(requests_in)
        os.close(answers_out)
        self.answers = os.fdopen(self.answers)

    def serve(self, requests, answers, inside):
        if inside:
            enter(inside)
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        os.environ["PATH"] = PATH
        for line in os.fdopen(requests):
            request = json.loads(line)
            try:
                answer = measured(request["argv"], request["env"], f"{self.share}/errors.log")
            except OSError as error:
                answer = {"status": 127, "errors": f"{request['argv'][0]}: {error}"}
            os.write(answers, (json.dumps(answer) + "\n").encode())
        os._exit(0)

    def run(self, argv, env=None, check=True):
        env = {"PATH": PATH, "HOME": "/root", **(env or {})}
        os.write(self.requests, (json.dumps({"argv": argv, "env": env}) + "\n").encode())
        answer = json.loads(self.answers.readline())
        if check and answer["status"] != 0:
            raise Failed(f"{' '.join(argv)}: status {answer['status']}\n{answer['errors']}")
        return answer

    def close(self):
        os.close(self.requests)
        os.waitpid(self.pid, 0)
