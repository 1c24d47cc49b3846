"""In: what a workload wants. Out: the command line of each tool that does it. Never: a difference in work that the report does not name."""
import os
import shutil

LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]


class Tool:
    """How a tool does the verbs of the workloads. `place` runs its commands; `home` is the working directory as the host sees it."""

    name = ""
    env = {}

    def __init__(self, place, home, registry):
        self.place, self.home, self.registry = place, home, registry

    def run(self, argv, check=True):
        return self.place.run(argv, self.env, check)

    def path(self, relative):
        return f"{self.place.share}/{relative}"

    def before(self, out):
        """Removes what an earlier run left under the same name; not measured."""
        if out.startswith("oci:"):
            target = os.path.join(self.home, self.archive(out))
            if os.path.exists(target):
                os.remove(target)

    def archive(self, out):
        return f"out/{self.name}-{out[4:].split(',')[0]}.tar"

    def daemon(self):
        """Process ids that work for the tool beside the command."""
        return []


class Crossdock(Tool):
    name = "crossdock"

    def __init__(self, place, home, registry, binary, emulators):
        super().__init__(place, home, registry)
        self.binary = binary
        self.env = {"CROSSDOCK_STATE_DIR": self.path("crossdock"), "CROSSDOCK_CONFIG": self.path("crossdock.toml"), "CROSSDOCK_EMULATORS": emulators}

    def prune(self):
        self.run([self.binary, "prune", "-af"])

    def wipe(self):
        shutil.rmtree(os.path.join(self.home, "crossdock"), ignore_errors=True)

    def build(self, context, dockerfile, out, platforms=None, fresh=False):
        argv = [self.binary, "build", "--progress=plain", "-f", self.path(dockerfile)]
        argv += ["--platform", platforms] if platforms else []
        argv += ["--no-cache"] if fresh else []
        if out == "none":
            argv += ["-o", "type=cacheonly"]
        elif out == "push":
            argv += ["-t", f"{self.registry}/bench/out:{self.name}", "--push"]
        else:
            compression = ",compression=zstd" if out.endswith(",zstd") else ""
            argv += ["-o", f"type=oci,dest={self.path(self.archive(out))}{compression}"]
        return [*argv, self.path(context)]

    def combine(self, target, sources):
        return [self.binary, "imagetools", "create", "-t", target, *sources]


class BuildKit(Tool):
    """buildx with the BuildKit inside Docker Engine. Attestations are off: Crossdock makes none."""

    name = "buildkit"

    def __init__(self, place, home, registry, daemons):
        super().__init__(place, home, registry)
        self.daemons = daemons

    def daemon(self):
        return self.daemons()

    def prune(self):
        self.run(["docker", "buildx", "prune", "-af"])
        self.run(["docker", "image", "prune", "-af"])

    wipe = prune

    def build(self, context, dockerfile, out, platforms=None, fresh=False):
        argv = ["docker", "buildx", "build", "--progress=plain", "--network=host", "--provenance=false", "-f", self.path(dockerfile)]
        argv += ["--platform", platforms] if platforms else []
        argv += ["--no-cache"] if fresh else []
        if out == "none":
            argv += ["-o", "type=cacheonly"]
        elif out == "push":
            argv += ["-t", f"{self.registry}/bench/out:{self.name}", "--push"]
        else:
            compression = ",compression=zstd" if out.endswith(",zstd") else ""
            argv += ["-o", f"type=oci,dest={self.path(self.archive(out))}{compression}"]
        return [*argv, self.path(context)]

    def combine(self, target, sources):
        return ["docker", "buildx", "imagetools", "create", "-t", target, *sources]


class Buildah(Tool):
    name = "buildah"

    def __init__(self, place, home, registry, driver):
        super().__init__(place, home, registry)
        self.env = {"CONTAINERS_REGISTRIES_CONF": self.path("registries.conf"), "BUILDAH_RUNTIME": "runc"}
        self.base = ["buildah", "--root", self.path("buildah"), "--runroot", "/run/bench-buildah", "--storage-driver", driver]
        self.policy = ["--signature-policy", self.path("policy.json")]
        self.target = f"{registry}/bench/out:{self.name}"

    def prune(self):
        self.run([*self.base, "rm", "-a", "-f"], check=False)
        self.run([*self.base, "rmi", "-a", "-f"], check=False)

    def wipe(self):
        self.prune()
        self.run(["rm", "-rf", self.path("buildah"), "/run/bench-buildah"])

    def before(self, out):
        super().before(out)
        if out == "push":
            self.run([*self.base, "manifest", "rm", self.target], check=False)

    def build(self, context, dockerfile, out, platforms=None, fresh=False):
        argv = [*self.base, "build", *self.policy, "--network", "host", "--layers", *LIMITS, "-f", self.path(dockerfile)]
        argv += ["--platform", platforms] if platforms else []
        argv += ["--no-cache"] if fresh else []
        if out == "push":
            then = [*self.base, "manifest", "push", *self.policy, "--all", "--tls-verify=false", self.target, f"docker://{self.target}"]
            return both([*argv, "--manifest", self.target, self.path(context)], then)
        argv += ["-t", "bench:latest", self.path(context)]
        if out == "none":
            return argv
        compression = ["--compression-format", "zstd"] if out.endswith(",zstd") else []
        return both(argv, [*self.base, "push", *self.policy, *compression, "bench:latest", f"oci-archive:{self.path(self.archive(out))}"])

    def combine(self, target, sources):
        adds = " && ".join(f"{' '.join(self.base)} manifest add --tls-verify=false {target} docker://{source}" for source in sources)
        base, policy = " ".join(self.base), " ".join(self.policy)
        return ["sh", "-c", f"{base} manifest rm {target}; {base} manifest create {target} && {adds} && exec {base} manifest push {policy} --all --tls-verify=false {target} docker://{target}"]


def both(first, second):
    """buildah stores an image with one command and sends it with another: a shell joins them (about 1 ms)."""
    return ["sh", "-c", f"{' '.join(first)} && exec {' '.join(second)}"]
