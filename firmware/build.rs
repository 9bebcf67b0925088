//! Links the firmware by its own script.
fn main() {
    let dir = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rerun-if-changed=firmware.ld");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "powerpc64") {
        println!("cargo:rustc-link-arg-bins=-T{dir}/firmware.ld");
        println!("cargo:rustc-link-arg-bins=--no-dynamic-linker");
    }
}
