"""How large the program and the library are, and what each crate contributes: from the symbols of the same build
before it was stripped. Code and data of a generic function count for the crate that defines it."""
import collections
import re
import subprocess

STD = {"std", "core", "alloc", "hashbrown", "addr2line", "gimli", "miniz_oxide", "object", "rustc_demangle",
       "compiler_builtins", "memchr", "rustc_literal_escaper", "std_detect", "panic_unwind"}
OURS = {"barman_recover", "patroni_barman"}


def crate(symbol):
    if re.match(r"_?ring_core|bn_|p256_|p384_|ecp_|sha\d|aes_|gcm_|chacha|x25519|vpaes|bssl|CRYPTO|LIMB|limbs|k25519|kCurve"
                r"|_?poly1305|fe\d?_|ge_|mul4x|mulx4x|_?aesni|nistz|__ecp|_vpaes|fiat_|poly_hash|table_select", symbol):
        return "ring"
    if symbol.startswith(("barman_recover", "rust_eh")):
        return "barman-recover" if symbol.startswith("barman") else "std"
    found = re.match(r"(?:[<&*(\[]|mut |dyn |const |for<[^>]*> )*([a-z_][a-z0-9_]*)(?:\[[0-9a-f]+\])?::", symbol)
    if not found:
        found = re.match(r"<[^:>]* as ([a-z_][a-z0-9_]*)(?:\[[0-9a-f]+\])?::", symbol)   # of any type: who has the trait
    if not found:
        return "std" if re.match(r"<[^:>]*>::", symbol) else "other"
    name = found[1]
    return "std" if name in STD else "barman-recover" if name in OURS else name.replace("_", "-")


def contributions(path):
    lines = subprocess.run(["nm", "--demangle", "--print-size", "--radix=d", path], check=True, capture_output=True,
                           text=True).stdout
    seen, sizes = set(), collections.Counter()
    for line in lines.splitlines():
        fields = line.split(maxsplit=3)
        if len(fields) != 4 or not fields[1].isdigit() or fields[0] in seen or fields[2] in "bB":
            continue
        seen.add(fields[0])
        sizes[crate(fields[3])] += int(fields[1])
    return sizes


def measure(out):
    result = {}
    for name, built in (("patroni_barman", "patroni_barman"), ("libbarman_recover.so", "libbarman_recover.so")):
        total = (out / name).stat().st_size
        sizes = contributions(out / "cargo/release" / built)
        result[name] = {"total": total, "crates": dict(sizes.most_common())}
    return result
