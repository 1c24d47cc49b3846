python3 - <<'P'
import io, tarfile
with tarfile.open("in.tar", "w") as tar:
    def add(name, **more):
        member = tarfile.TarInfo(name)
        member.mode = 0o644
        for key, value in more.items():
            setattr(member, key, value)
        tar.addfile(member, io.BytesIO(b"x" * member.size))
    add("hl1", size=3)
    add("hl2", type=tarfile.LNKTYPE, linkname="/hl1")
    add("hl3", type=tarfile.LNKTYPE, linkname="//hl2")
P
