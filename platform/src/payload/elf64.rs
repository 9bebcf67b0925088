//! ELF files, as far as loading needs.
use super::{MAX_SEGMENTS, PayloadError};
use alloc::vec::Vec;
use elf::abi::{EI_CLASS, EI_DATA, EI_NIDENT, EM_PPC64, ET_DYN, ET_EXEC, PF_X, PT_LOAD};
use elf::endian::AnyEndian;
use elf::file::{Class, ELF64_EHDR_TAILSIZE, FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};

/// Bytes of a program header.
const PROGRAM_HEADER_LEN: usize = 56;

/// A file that can be loaded.
pub struct Elf64 {
    pub little_endian: bool,
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// What is to be loaded.
    pub segments: Vec<Segment>,
}

/// A segment: its bytes lie in the file, and its memory doesn't wrap.
pub struct Segment {
    pub offset: u64,
    pub file_len: u64,
    pub vaddr: u64,
    pub paddr: u64,
    /// At least `file_len`, at least 1.
    pub mem_len: u64,
    executable: bool,
}

impl Elf64 {
    /// Reads the headers. `file` can be longer than the file is.
    pub fn parse(file: &[u8]) -> Result<Self, PayloadError> {
        let header = header(file)?;
        let table_len = usize::from(header.e_phnum) * PROGRAM_HEADER_LEN;
        let table = slice(file, header.e_phoff, table_len as u64)?;
        let mut segments = Vec::new();
        for (index, program) in SegmentTable::new(header.endianness, Class::ELF64, table)
            .iter()
            .enumerate()
            .filter(|(_, program)| program.p_type == PT_LOAD && program.p_memsz > 0)
        {
            if segments.len() == MAX_SEGMENTS {
                return Err(PayloadError::SegmentCount(header.e_phnum.into()));
            }
            let segment = Segment::new(&program, file.len()).ok_or(PayloadError::Segment(index))?;
            segments.push(segment);
        }
        if segments.is_empty() {
            return Err(PayloadError::SegmentCount(0));
        }
        Ok(Self {
            little_endian: header.endianness == AnyEndian::Little,
            entry: header.e_entry,
            segments,
        })
    }
}

fn header(file: &[u8]) -> Result<FileHeader<AnyEndian>, PayloadError> {
    let ident = slice(file, 0, EI_NIDENT as u64)?;
    let tail = slice(file, EI_NIDENT as u64, ELF64_EHDR_TAILSIZE as u64)?;
    if ident[EI_CLASS] != elf::abi::ELFCLASS64 {
        return Err(PayloadError::Class(ident[EI_CLASS]));
    }
    let ident = parse_ident(ident).map_err(|_| PayloadError::Encoding(ident[EI_DATA]))?;
    let header =
        FileHeader::<AnyEndian>::parse_tail(ident, tail).map_err(|_| PayloadError::Truncated)?;
    if header.e_machine != EM_PPC64 {
        return Err(PayloadError::Machine(header.e_machine));
    }
    if !matches!(header.e_type, ET_EXEC | ET_DYN) {
        return Err(PayloadError::Type(header.e_type));
    }
    if usize::from(header.e_phentsize) != PROGRAM_HEADER_LEN {
        return Err(PayloadError::HeaderSize(header.e_phentsize));
    }
    Ok(header)
}

fn slice(file: &[u8], start: u64, len: u64) -> Result<&[u8], PayloadError> {
    usize::try_from(start)
        .ok()
        .zip(usize::try_from(len).ok())
        .and_then(|(start, len)| file.get(start..)?.get(..len))
        .ok_or(PayloadError::Truncated)
}

impl Segment {
    fn new(program: &ProgramHeader, file_len: usize) -> Option<Self> {
        let file_end = program.p_offset.checked_add(program.p_filesz)?;
        program.p_vaddr.checked_add(program.p_memsz)?;
        program.p_paddr.checked_add(program.p_memsz)?;
        (file_end <= file_len as u64 && program.p_filesz <= program.p_memsz).then_some(Self {
            offset: program.p_offset,
            file_len: program.p_filesz,
            vaddr: program.p_vaddr,
            paddr: program.p_paddr,
            mem_len: program.p_memsz,
            executable: program.p_flags & PF_X != 0,
        })
    }

    /// Whether this virtual address is that of executable bytes of the file.
    pub fn has_code_at(&self, vaddr: u64) -> bool {
        let offset = vaddr.wrapping_sub(self.vaddr);
        self.executable && offset < self.file_len
    }
}
