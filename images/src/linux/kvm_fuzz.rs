//! For Linux on catnap: hostile programs on `/dev/kvm`. Each makes a virtual machine or two and asks for
//! random things with random values: requests, registers, memory, page tables, runs. Each is killed at a
//! random moment if it hasn't ended before. The kernel must stand all of it, and say nothing.
//!
//! Argument: how many programs, one after the other.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

mod chance;
mod machine;
#[cfg(target_arch = "powerpc64")]
mod output;
mod system;

use chance::Chance;
use machine::{
    CREATE_VCPU, CREATE_VM, ENABLE, GET_REGISTER, GET_REGISTERS, HYPERVISOR, PAPR, RUN, SET_MEMORY,
    SET_REGISTER, SET_REGISTERS,
};
use system::{Errno, File};

/// What each program asks for.
const ASKS: u64 = 400;
/// How long it may take for them.
const LIMIT_US: u64 = 100_000;
const GET_SPECIALS: u64 = 0x44c8_ae83;
const SET_SPECIALS: u64 = 0x84c8_ae84;
const INTERRUPT: u64 = 0x8004_ae86;
const GET_DIRTY: u64 = 0x8010_ae42;
const MMU_INFO: u64 = 0x4250_aea6;
const PAGE_TABLE: u64 = 0xc004_aea7;
const TABLE_FILE: u64 = 0x8010_aeaa;
/// Requests of KVM's have this in their middle; the rest is drawn.
const ANY: u64 = 0xae00;
const SMT: u64 = 64;
const MEMORY_BYTES: u64 = 16 << 20;
/// The register's number says how many bytes it has.
const REGISTER_OF_4: u64 = 0x1020_0000_0000_0000;
const REGISTER_OF_8: u64 = 0x1030_0000_0000_0000;
const REGISTER_OF_16: u64 = 0x1040_0000_0000_0000;

/// What one program has.
struct Program {
    chance: Chance,
    memory: u64,
    vm: File,
    vcpu: Option<File>,
    /// What requests read and write.
    room: [u64; 1024],
}

impl Program {
    fn new(seed: u64) -> Result<Self, Errno> {
        let kvm = machine::kvm()?;
        let memory = system::memory(MEMORY_BYTES)?;
        Ok(Self {
            chance: Chance(seed | 1),
            memory: memory.expose_provenance() as u64,
            vm: kvm.opened(CREATE_VM, HYPERVISOR)?,
            vcpu: None,
            room: [0; 1024],
        })
    }

    fn fill(&mut self) {
        for word in &mut self.room {
            *word = self.chance.draw();
        }
    }

    /// Whatever comes of it: errors are what most of it deserves.
    fn ask(&mut self, file: File, what: u64) {
        let _ = file.any(what, &mut self.room);
    }

    fn act(&mut self) {
        let vm = self.vm;
        self.fill();
        match self.chance.below(12) {
            0 => self.vcpu = self.new_vcpu().or(self.vcpu),
            1 => self.set_memory(),
            2 => {
                self.room[0] = SMT | (self.chance.below(4) << 32);
                self.room[1] = 1 << self.chance.below(5);
                self.room[2] = 0;
                self.ask(vm, ENABLE);
            }
            3 => {
                self.room[0] = 16 + self.chance.below(10);
                self.ask(vm, PAGE_TABLE);
            }
            4 => {
                let what = [MMU_INFO, GET_DIRTY, TABLE_FILE][self.chance.below(3) as usize];
                self.ask(vm, what);
            }
            5 => {
                let what = ANY | self.chance.draw() & 0xc1ff_00ff;
                self.ask(vm, what);
            }
            _ => self.act_on_vcpu(),
        }
    }

    fn new_vcpu(&mut self) -> Option<File> {
        let id = self.chance.below(12);
        let vcpu = self.vm.opened(CREATE_VCPU, id).ok()?;
        self.room[..13].fill(0);
        self.room[0] = PAPR.into();
        self.ask(vcpu, ENABLE);
        Some(vcpu)
    }

    /// Good memory, or anything.
    fn set_memory(&mut self) {
        if self.chance.below(4) != 0 {
            self.room[0] = self.chance.below(2);
            self.room[1] = self.chance.below(2) * MEMORY_BYTES;
            self.room[2] = self.chance.below(3) * (MEMORY_BYTES / 2);
            self.room[3] = self.memory;
        }
        let vm = self.vm;
        self.ask(vm, SET_MEMORY);
    }

    fn act_on_vcpu(&mut self) {
        let Some(vcpu) = self.vcpu else { return };
        match self.chance.below(8) {
            0 => {
                let what = [GET_REGISTERS, SET_REGISTERS][self.chance.below(2) as usize];
                self.ask(vcpu, what);
            }
            1 => {
                self.ask(vcpu, GET_SPECIALS);
                let place = self.chance.below(100) as usize;
                self.room[place] = self.chance.draw();
                self.ask(vcpu, SET_SPECIALS);
            }
            2..=4 => {
                let sizes = [REGISTER_OF_4, REGISTER_OF_8, REGISTER_OF_16];
                let size = sizes[self.chance.below(3) as usize];
                self.room[0] = size | self.chance.below(0xd0);
                self.room[1] = (&raw const self.room[8]).expose_provenance() as u64;
                let what = [GET_REGISTER, SET_REGISTER][self.chance.below(2) as usize];
                self.ask(vcpu, what);
            }
            5 => self.ask(vcpu, INTERRUPT),
            6 => {
                let what = ANY | self.chance.draw() & 0xc1ff_00ff;
                self.ask(vcpu, what);
            }
            _ => {
                let _ = vcpu.request(RUN, 0);
            }
        }
    }
}

/// In a process of its own.
fn child(seed: u64) -> ! {
    // It may run a guest that never comes out.
    system::kill_after_us(LIMIT_US);
    if let Ok(mut program) = Program::new(seed) {
        (0..ASKS).for_each(|_| program.act());
    }
    system::exit(0)
}

fn fuzz(programs: u64) -> ! {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for _ in 0..programs {
        let seed = chance.draw();
        match system::fork() {
            Ok(0) => child(seed),
            Ok(_) => while system::wait().is_ok() {},
            Err(_) => system::print(b"kvm-fuzz: no process\n"),
        }
    }
    system::print(b"kvm-fuzz: done\n");
    system::exit(0)
}

/// The program, with its argument.
fn start(argument: Option<u64>) -> ! {
    fuzz(argument.unwrap_or(10))
}

#[cfg(not(target_arch = "powerpc64"))]
fn main() {
    let main: fn(Option<u64>) -> ! = start;
    panic!("{main:p} runs in Linux on catnap only");
}
