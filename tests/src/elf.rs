//! ELF files made for tests.

/// Real address at which QEMU puts the file of `-kernel`.
pub const PAYLOAD_BASE: u64 = 0x2000_0000;
const HEADER_BYTES: u16 = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;
const MACHINE_PPC64: u16 = 21;
const TYPE_EXECUTABLE: u16 = 2;
const LOAD: u32 = 1;
/// Readable, writable, executable.
const ALL_RIGHTS: u32 = 7;

/// A segment to load.
#[derive(Clone, Debug)]
pub struct Segment {
    pub address: u64,
    pub bytes: Vec<u8>,
    pub memory_bytes: u64,
}

impl Segment {
    /// Exactly these bytes.
    pub fn new(address: u64, bytes: &[u8]) -> Self {
        Self {
            address,
            bytes: bytes.to_vec(),
            memory_bytes: bytes.len() as u64,
        }
    }
}

/// A file to be loaded.
#[derive(Clone, Debug)]
pub struct Elf {
    pub little_endian: bool,
    pub machine: u16,
    pub entry: u64,
    pub segments: Vec<Segment>,
}

impl Elf {
    /// A big-endian file for this machine that starts at its first segment's beginning.
    pub fn new(segments: &[Segment]) -> Self {
        Self {
            little_endian: false,
            machine: MACHINE_PPC64,
            entry: segments[0].address,
            segments: segments.to_vec(),
        }
    }

    /// The file: headers, then the segments' bytes one behind the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new(self.little_endian);
        let data = if self.little_endian { 1 } else { 2 };
        let (class, version) = (2, 1);
        out.bytes.extend(b"\x7fELF");
        out.bytes
            .extend([class, data, version, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.u16(TYPE_EXECUTABLE);
        out.u16(self.machine);
        out.u32(1);
        out.u64(self.entry);
        out.u64(HEADER_BYTES.into());
        out.u64(0);
        out.u32(2); // ELFv2
        out.u16(HEADER_BYTES);
        out.u16(PROGRAM_HEADER_BYTES);
        out.u16(self.segments.len() as u16);
        out.u16(0);
        out.u16(0);
        out.u16(0);
        let headers = self.segments.len() as u64 * u64::from(PROGRAM_HEADER_BYTES);
        let mut offset = u64::from(HEADER_BYTES) + headers;
        for segment in &self.segments {
            out.u32(LOAD);
            out.u32(ALL_RIGHTS);
            out.u64(offset);
            out.u64(segment.address);
            out.u64(segment.address);
            out.u64(segment.bytes.len() as u64);
            out.u64(segment.memory_bytes);
            out.u64(4);
            offset += segment.bytes.len() as u64;
        }
        for segment in &self.segments {
            out.bytes.extend(&segment.bytes);
        }
        out.bytes
    }
}

struct Writer {
    little_endian: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(little_endian: bool) -> Self {
        Self {
            little_endian,
            bytes: Vec::new(),
        }
    }

    fn put(&mut self, big_endian: &[u8]) {
        match self.little_endian {
            true => self.bytes.extend(big_endian.iter().rev()),
            false => self.bytes.extend(big_endian),
        }
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_layout_of_elf() {
        let file = Elf::new(&[Segment::new(0x1000, b"code"), Segment::new(0x2000, b"more")]);
        let bytes = file.to_bytes();
        assert_eq!(bytes.len(), 64 + 2 * 56 + 8);
        assert_eq!(&bytes[bytes.len() - 8..], b"codemore");
        assert_eq!(bytes[18..20], [0, 21]);
        assert_eq!(bytes[54..58], [0, 56, 0, 2]);
    }

    #[test]
    fn little_endian_files_are_turned_around() {
        let mut file = Elf::new(&[Segment::new(0x1000, b"code")]);
        file.little_endian = true;
        let bytes = file.to_bytes();
        assert_eq!(bytes[18..20], [21, 0]);
        assert_eq!(bytes[24..32], [0, 0x10, 0, 0, 0, 0, 0, 0]);
    }
}
