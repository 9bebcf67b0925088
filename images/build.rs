//! Gives each image its linker script: hosts are linked where `-kernel` loads them, guests at 0.

fn main() {
    let target = std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets the target");
    println!("cargo:rerun-if-changed=host.ld");
    println!("cargo:rerun-if-changed=guest.ld");
    if target != "powerpc64" {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets the folder");
    let guests = [
        "hash",
        "loop",
        "exits",
        "registers",
        "dec",
        "external",
        "doorbell",
        "calls",
        "soak",
        "timeline",
    ];
    let hosts = ["host", "testhost", "callbench"].map(|name| (name.to_owned(), "host.ld"));
    let guests = guests.map(|name| (format!("guest-{name}"), "guest.ld"));
    for (bin, script) in hosts.into_iter().chain(guests) {
        println!("cargo:rustc-link-arg-bin={bin}=-T{folder}/{script}");
        println!("cargo:rustc-link-arg-bin={bin}=--no-dynamic-linker");
    }
}
