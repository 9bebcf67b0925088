//! Gives each image its linker script: hosts are linked where `-kernel` loads them, guests at 0.

fn main() {
    let target = std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets the target");
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rerun-if-changed=host.ld");
    println!("cargo:rerun-if-changed=guest.ld");
    if target != "powerpc64" {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets the folder");
    let manifest = std::fs::read_to_string(format!("{folder}/Cargo.toml")).expect("it is there");
    for (name, path) in programs(&manifest) {
        let script = match path.split('/').nth(1) {
            Some("hosts") => "host.ld",
            Some("guests") => "guest.ld",
            _ => continue,
        };
        println!("cargo:rustc-link-arg-bin={name}=-T{folder}/{script}");
        println!("cargo:rustc-link-arg-bin={name}=--no-dynamic-linker");
    }
}

/// Name and path of each program that the manifest lists.
fn programs(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    manifest.split("[[bin]]").skip(1).map(|program| {
        let value = |key: &str| {
            let line = program.lines().find_map(|line| line.strip_prefix(key));
            let value =
                line.and_then(|rest| rest.trim().strip_prefix('=')?.trim().strip_prefix('"'));
            let value = value.and_then(|text| text.strip_suffix('"'));
            value.unwrap_or_else(|| panic!("a program without {key}"))
        };
        (value("name"), value("path"))
    })
}
