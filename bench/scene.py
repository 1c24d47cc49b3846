"""In: a working directory. Out: a registry with base images, contexts, and places where the tools run. Never: a change to the host beside that directory and the root of the peers."""
import json
import os
import shutil
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(os.path.dirname(HERE), "scripts")
READY_WITHIN_S = 60


def call(*argv, **more):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more)


def wait_for(path, process):
    until = time.monotonic() + READY_WITHIN_S
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"{process.args[0]} did not get ready")
        time.sleep(0.05)


class Scene:
    def __init__(self, home, port, peers, binary, dockerd):
        self.home, self.registry, self.peers, self.binary = home, f"127.0.0.1:{port}", peers, binary
        for name in ("out", "df"):
            shutil.rmtree(f"{home}/{name}", ignore_errors=True)
        os.makedirs(f"{home}/out")
        shutil.copytree(f"{HERE}/dockerfiles", f"{home}/df")
        call(f"{HERE}/generate", f"{home}/ctx")
        self.write_settings()
        self.registry_process = self.start_registry()
        self.in_peers = self.start_peers(port, dockerd)
        self.inside = self.first_process()
        if not os.path.exists(f"{home}/bases.complete"):
            self.make_bases()

    def write(self, name, text):
        with open(os.path.join(self.home, name), "w", encoding="utf-8") as file:
            file.write(text)

    def write_settings(self):
        self.write("crossdock.toml", f'[registry."docker.io"]\n  mirrors = ["{self.registry}"]\n[registry."{self.registry}"]\n  http = true\n')
        self.write("policy.json", '{"default":[{"type":"insecureAcceptAnything"}]}')
        block = '[[registry]]\nprefix = "{}"\nlocation = "{}"\ninsecure = true\n'
        self.write("registries.conf", 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n' + block.format("docker.io", self.registry) + block.format(self.registry, self.registry))
        self.write("registry.yml", f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {self.home}/registry}}, delete: {{enabled: true}}}}\nhttp: {{addr: {self.registry}}}\nlog: {{level: error}}\n")

    def start_registry(self):
        with open(f"{self.home}/registry.log", "w", encoding="utf-8") as log:
            return subprocess.Popen(["docker-registry", "serve", f"{self.home}/registry.yml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_peers(self, port, dockerd):
        call(f"{SCRIPTS}/peers", self.peers, env={**os.environ, "REGISTRY_PORT": str(port)})
        settings = f"{self.peers}/etc/docker/daemon.json"
        with open(settings, encoding="utf-8") as file:
            value = json.load(file)
        value.update({"insecure-registries": [self.registry], "registry-mirrors": [f"http://{self.registry}"]})
        with open(settings, "w", encoding="utf-8") as file:
            json.dump(value, file)
        ready = f"{self.home}/peers.ready"
        if os.path.exists(ready):
            os.remove(ready)
        # The shell ends, and with it everything in its namespaces, when its standard input is closed.
        process = subprocess.Popen(
            [f"{SCRIPTS}/in-peers", self.peers, self.home, "touch /share/peers.ready; cat >/dev/null"],
            stdin=subprocess.PIPE, env={**os.environ, "DOCKERD": "1" if dockerd else "0"})
        wait_for(ready, process)
        return process

    def first_process(self):
        pid = self.in_peers.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return int(file.read().split()[0])

    def daemons(self):
        """The engine's processes: dockerd with BuildKit inside, and its containerd."""
        found, left = [], [self.inside]
        while left:
            pid = left.pop()
            try:
                with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                    if file.read().strip() in ("dockerd", "containerd"):
                        found.append(pid)
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                        left += [int(child) for child in file.read().split()]
            except OSError:
                continue
        return found

    def make_bases(self):
        """busybox and Debian, sent by skopeo: their layers are plain gzip streams that favour nobody."""
        env = {**os.environ, "CROSSDOCK": self.binary, "CROSSDOCK_STATE_DIR": f"{self.home}/bases", "CROSSDOCK_CONFIG": f"{self.home}/crossdock.toml", "PLATFORMS": "linux/amd64,linux/arm64", "BUSYBOX_ROOTS": f"{self.home}/busybox"}
        call(f"{SCRIPTS}/busybox-image", "-o", f"type=oci,dest={self.home}/busybox.tar,compression=uncompressed", env=env)
        os.makedirs(f"{self.home}/busybox-arm64", exist_ok=True)
        call("tar", "-xf", f"{self.home}/busybox/root-arm64.tar", "-C", f"{self.home}/busybox-arm64", "./bin")
        context = f"{self.home}/debian"
        os.makedirs(context, exist_ok=True)
        if not os.path.exists(f"{context}/root.tar"):
            call("mmdebstrap", "--quiet", "--variant=minbase", "bookworm", f"{context}/root.tar")
        self.write("debian/Dockerfile", "FROM scratch\nADD root.tar /\n")
        call(self.binary, "build", "--quiet", "-o", f"type=oci,dest={self.home}/debian.tar,compression=uncompressed", context, env=env)
        for archive, name in (("busybox.tar", "library/busybox:latest"), ("debian.tar", "library/debian:12")):
            call(f"{SCRIPTS}/in-peers", self.peers, self.home,
                 f"skopeo --insecure-policy copy -q --all --dest-tls-verify=false --dest-compress-format gzip oci-archive:/share/{archive} docker://{self.registry}/{name}")
        for arch in ("amd64", "arm64"):
            call(self.binary, "build", "--quiet", "--platform", f"linux/{arch}", "-t", f"{self.registry}/bench/single:{arch}", "--push", "-f", f"{self.home}/df/w9.Dockerfile", f"{self.home}/ctx/small", env=env)
        shutil.rmtree(f"{self.home}/bases")
        self.write("bases.complete", "")

    def close(self):
        self.in_peers.stdin.close()
        self.in_peers.wait()
        self.registry_process.terminate()
        self.registry_process.wait()
