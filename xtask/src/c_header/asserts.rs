//! What a C compiler is to check of the header: sizes, offsets and values as `hcalls` has them.
use std::fmt::Write;
use std::mem::{offset_of, size_of};

use hcalls::page::{self, FirmwareLine, HostLine, SlbEntry, Sprs, VcpuPage};
use hcalls::partition::{self, PartitionConfig};
use hcalls::stats::VcoreStats;
use hcalls::{memory, papr, query, run};

/// Structure, field, offset.
type Field = (&'static str, &'static str, usize);
/// Name, value.
type Value = (&'static str, u64);

macro_rules! fields {
    ($c:literal $rust:ident: $($field:ident)+) => {
        vec![$(($c, stringify!($field), offset_of!($rust, $field))),+]
    };
}

macro_rules! values {
    ($module:ident: $($name:ident)+) => {
        vec![$((stringify!($name), $module::$name)),+]
    };
}

/// Constants that cbindgen can't compute, and the asserts.
pub fn text(made: &str) -> String {
    let mut text = String::new();
    // A String takes it all.
    for (name, value) in values() {
        if !made.contains(&format!("#define CATNAP_{name} ")) {
            let _ = writeln!(text, "#define CATNAP_{name} {value:#x}ULL");
        }
    }
    text.push_str("\n/* As the firmware has them. */\n");
    for (name, bytes) in sizes() {
        let _ = writeln!(
            text,
            "_Static_assert(sizeof(struct catnap_{name}) == {bytes}, \"{name}\");"
        );
    }
    for (structure, field, offset) in offsets() {
        let _ = writeln!(
            text,
            "_Static_assert(__builtin_offsetof(struct catnap_{structure}, {field}) == {offset}, \"{structure}.{field}\");"
        );
    }
    for (name, value) in values() {
        let _ = writeln!(
            text,
            "_Static_assert((uint64_t)CATNAP_{name} == {value:#x}, \"{name}\");"
        );
    }
    text.push('\n');
    text
}

fn sizes() -> [(&'static str, usize); 7] {
    [
        ("host_line", size_of::<HostLine>()),
        ("firmware_line", size_of::<FirmwareLine>()),
        ("sprs", size_of::<Sprs>()),
        ("slb_entry", size_of::<SlbEntry>()),
        ("vcpu_page", size_of::<VcpuPage>()),
        ("partition_config", size_of::<PartitionConfig>()),
        ("vcore_stats", size_of::<VcoreStats>()),
    ]
}

fn offsets() -> Vec<Field> {
    let mut all = fields!("host_line" HostLine: magic version flags pending cookie);
    all.extend(fields!("firmware_line" FirmwareLine:
        owner trap reason srr0 srr1 hdar hdsisr heir fault entered_tb left_tb prodded entries
        in_guest_tb ceded_tb served yields kick_cause));
    all.extend(fields!("sprs" Sprs:
        srr0 srr1 sprg dar dsisr dec_expires_tb fscr dscr tar ppr pspb dawr dawrx ciabr iamr amr
        uamor pid acop tacr tcscr csigr wort vrsave ctrl ic ebbhr ebbrr bescr tfhar tfiar texasr
        mmcr0 mmcr1 mmcr2 mmcra mmcrs siar sdar sier pmc spmc vtb));
    all.extend(fields!("vcpu_page" VcpuPage:
        host firmware gpr pc msr cr lr ctr xer cfar slb_count sprs slb vsr fpscr vscr));
    all.extend(fields!("partition_config" PartitionConfig:
        version lpid memory_mode smt_width ptid_mode policy base rm_len_bytes lpcr tb_offset flags));
    all.extend(fields!("vcore_stats" VcoreStats:
        runs refused woken joined entries served kicks run_tb exits));
    all
}

fn values() -> Vec<Value> {
    let mut all = values!(page: FLAG_FP FLAGS PENDING_EXTERNAL OWNED MMCR0_FROZEN);
    all.push(("MAGIC", page::MAGIC.into()));
    all.push(("VERSION", hcalls::VERSION.into()));
    all.extend(values!(papr: H_CEDE H_CONFER H_PROD));
    all.extend(
        values!(partition: LPCR_ILE LPCR_AIL_3 LPCR_DPFD LPCR_TC LPCR_ONL LPCR_CHOICE
        FLAG_REFLECT),
    );
    all.extend(
        values!(query: FEATURE_RMOR FEATURE_VRMA FEATURE_LITTLE_ENDIAN FEATURE_PTID_ALIGNED
        FEATURE_EAGER FEATURE_CEDE FEATURE_STATS FEATURE_TRACE FEATURE_L1D_FLUSH
        FEATURE_LINK_STACK_FLUSH FEATURE_REFLECT FEATURE_TABLE),
    );
    all.extend(values!(memory: PAGE_READ PAGE_WRITE PAGE_CHANGED MEMORY_LITTLE_ENDIAN));
    all.extend(
        values!(run: RUN_KEEP_SLB RUN_FP_CLEAN RUN_UNTOUCHED RUN_SPRS_LOST RUN_FLAGS
        SET_COMPLETE NO_DECREMENTER KICK_GUEST),
    );
    all
}
