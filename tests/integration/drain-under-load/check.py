"""Prints `prefix` for each file that is a gapless prefix of in.log, and how the two relate."""

sent = open("in.log", "rb").read()
files = {name: open(name, "rb").read() for name in ("received.log", "returned.log")}
for name, data in files.items():
    whole_lines = data.endswith(b"\n")
    has_exit = b'"exit"\n' in data
    print(f"{name}: prefix={sent.startswith(data)} whole_lines={whole_lines} reaches_exit={has_exit}")
enough = len(files["received.log"]) >= len(files["returned.log"])
print(f"received.log is at least as long as returned.log: {enough}")
