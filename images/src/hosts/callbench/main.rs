//! What OPAL's calls cost: each is made many times, and the mean is told, without what the caller
//! itself takes. Under `-icount shift=0` a nanosecond is an instruction. Any OPAL firmware will do.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
extern crate alloc;

use dtoolkit::Node;
use images::host_runtime::{self, HostArgs, cpu, opal};
use images::println;

images::host!(host, start_anywhere);

const ROUNDS: u64 = 200;

/// Where calls put what they answer, and what they are given.
#[repr(C, align(128))]
struct Memory {
    length: [u8; 8],
    answers: [u8; 128],
    text: [u8; 16],
}

/// The LPC bus's interrupt.
const EXTERNAL: u64 = 0x15;
const MASKED: u64 = 0xff;
const BIG_ENDIAN_INTERRUPTS: u64 = 1;
const CHECK_TOKEN: u64 = 80;
const BUSY_EVENT: i64 = -12;

fn host(args: HostArgs) -> ! {
    println!(
        "entered at {} ns",
        args.entered_tb * 1000 / (cpu::TB_HZ / 1_000_000)
    );
    let mut memory = Memory {
        length: [0; 8],
        answers: [0; 128],
        text: *b"sixteen letters\n",
    };
    let address = |bytes: &mut [u8]| bytes.as_mut_ptr().expose_provenance() as u64;
    let length = address(&mut memory.length);
    let answers = address(&mut memory.answers);
    let text = address(&mut memory.text);
    let pir = u64::from(cpu::pir());
    let bench = Bench {
        length: &raw mut memory.length,
        own_tb: own_tb(&args),
    };
    bench.measure("CONSOLE_WRITE", 1, &[0, length, text]);
    bench.measure("CONSOLE_READ", 2, &[0, length, answers]);
    bench.measure("RTC_READ", 3, &[answers, answers + 8]);
    bench.measure("HANDLE_INTERRUPT", 9, &[EXTERNAL, answers]);
    bench.measure("POLL_EVENTS", 10, &[answers]);
    bench.measure("SET_XIVE", 19, &[EXTERNAL, pir << 2, MASKED]);
    bench.measure("GET_XIVE", 20, &[EXTERNAL, answers, answers + 8]);
    bench.measure("CONSOLE_WRITE_BUFFER_SPACE", 25, &[0, length]);
    bench.measure("QUERY_CPU_STATUS", 42, &[pir, answers]);
    bench.measure("REINIT_CPUS", 70, &[BIG_ENDIAN_INTERRUPTS]);
    bench.measure("CHECK_TOKEN", 80, &[CHECK_TOKEN]);
    bench.measure("GET_MSG", 85, &[answers, 128]);
    bench.measure("CONSOLE_FLUSH", 117, &[0]);
    let tree = host_runtime::device_tree(&args);
    let mut nodes = tree.root().children();
    if nodes.any(|node| node.name_without_address() == "pciex") {
        measure_pci(&bench, answers);
    }
    println!("host: done");
    opal::power_down()
}

/// PCI calls, on a machine with host bridge 0.
fn measure_pci(bench: &Bench, answers: u64) {
    const TABLES: u64 = 6;
    const BUS: [u64; 5] = [0x100, 7, 0, 0, 1];
    let [rid, bus, device, function, map] = BUS;
    bench.measure("PCI_CONFIG_READ_WORD", 15, &[0, 0, 0, answers]);
    bench.measure(
        "PCI_EEH_FREEZE_STATUS",
        23,
        &[0, 1, answers, answers + 8, 0],
    );
    bench.measure("PCI_SET_PE", 31, &[0, 1, rid, bus, device, function, map]);
    bench.measure("PCI_RESET", 49, &[0, TABLES, 1]);
    bench.measure("PCI_MSI_EOI", 63, &[0, 3]);
}

/// What the caller itself takes for all its calls: those of a firmware that returns at once.
fn own_tb(args: &HostArgs) -> u64 {
    let nothing = at_once as *const () as u64;
    opal::set_entry(args.opal_base, nothing);
    let (own_tb, _) = calls(0, &[], None);
    opal::set_entry(args.opal_base, args.opal_entry);
    own_tb
}

extern "C" fn at_once() {}

struct Bench {
    /// Set to the length of a text before each call.
    length: *mut [u8; 8],
    own_tb: u64,
}

impl Bench {
    /// Makes a call often, and tells the mean.
    fn measure(&self, name: &str, token: u64, args: &[u64]) {
        let (taken_tb, status) = calls(token, args, Some(self.length));
        let taken_tb = taken_tb.saturating_sub(self.own_tb);
        let ns = taken_tb * 1_000_000_000 / cpu::TB_HZ / ROUNDS;
        println!("call {name}: {ns} ns, answered {status}");
    }
}

/// Ticks of all calls, and the last status. A call that is to be made again later is not counted.
fn calls(token: u64, args: &[u64], length: Option<*mut [u8; 8]>) -> (u64, i64) {
    let (mut taken_tb, mut done, mut status) = (0, 0, 0);
    for _ in 0..100 * ROUNDS {
        if let Some(length) = length {
            // SAFETY: the caller's own memory, which nothing else uses between calls.
            unsafe { length.write_volatile(16_u64.to_be_bytes()) };
        }
        let before_tb = cpu::time_base();
        // SAFETY: addresses are of memory that the caller has lent for this.
        status = unsafe { opal::call(token, args) }.status;
        let after_tb = cpu::time_base();
        if status == BUSY_EVENT {
            opal::poll_events();
            continue;
        }
        taken_tb += after_tb - before_tb;
        done += 1;
        if done == ROUNDS {
            break;
        }
    }
    (taken_tb, status)
}
