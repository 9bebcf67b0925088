//! What a partition holds to be booted: as it is or packed by xz, behind a container or not.

use super::container::{self, Container, ContainerError, HASH_BYTES, SignatureError};
use super::data::DataError;
use super::device::FlashError;
use super::table::{Name, Partition};
use alloc::boxed::Box;
use sha2::{Digest, Sha512};
use thiserror::Error;
use xz4rust::{XzDecoder, XzError, XzNextBlockResult};

/// What a file packed by xz begins with.
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";
/// Between two tellings of how far reading has come.
const STEP_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    #[error("{0}")]
    Data(#[from] DataError),
    #[error("{0}")]
    Container(#[from] ContainerError),
    #[error("{0}: is empty")]
    Empty(Name),
}

/// Why an image isn't signed by whom it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VouchError {
    #[error("{0}")]
    Signature(#[from] SignatureError),
    #[error("{0}: has no container, so nobody has signed it")]
    NoContainer(Name),
    #[error("{0}: must be signed, but neither the firmware nor the machine's tree says by whom")]
    NoKeys(Name),
}

/// An image in a partition.
#[derive(Clone, Debug)]
pub struct Image {
    partition: Partition,
    container: Option<Container>,
    /// Where it begins in the partition's data.
    at_bytes: u64,
    pub len_bytes: u64,
    pub is_packed: bool,
}

impl Image {
    /// Finds out what a partition holds. `read` fills a buffer from a place in the flash.
    ///
    /// # Errors
    /// The flash can't be read, or the container can't be followed.
    pub fn find(
        partition: &Partition,
        read: impl Fn(u64, &mut [u8]) -> Result<(), FlashError>,
    ) -> Result<Self, ImageError> {
        let name = partition.name;
        let room_bytes = partition.data_bytes();
        let mut container = None;
        if room_bytes > container::HEADER_BYTES as u64 {
            let mut header = Box::new([0; container::HEADER_BYTES]);
            let behind_bytes = room_bytes - container::HEADER_BYTES as u64;
            container = match partition.read(0, &mut header[..], &read) {
                // What ends that soon is no container.
                Err(DataError::Blank(..)) => None,
                read => {
                    read?;
                    Container::parse(header, name, behind_bytes)?
                }
            };
        }
        let (at_bytes, len_bytes) = match &container {
            Some(container) => (container::HEADER_BYTES as u64, container.payload_bytes),
            None => {
                // In use may count the code, too.
                let counted_bytes = match partition.used_bytes {
                    0 => room_bytes,
                    used_bytes => used_bytes.min(room_bytes),
                };
                (0, partition.written_bytes(counted_bytes, &read)?)
            }
        };
        let mut first = [0; XZ_MAGIC.len()];
        if len_bytes < first.len() as u64 {
            return Err(ImageError::Empty(name));
        }
        partition.read(at_bytes, &mut first, &read)?;
        Ok(Self {
            partition: *partition,
            container,
            at_bytes,
            len_bytes,
            is_packed: first == XZ_MAGIC,
        })
    }

    /// Reads the image, which has [`Image::len_bytes`], and holds it against its container. `progress`
    /// hears from time to time how much has been read. Answers how many bits were corrected.
    ///
    /// # Errors
    /// The flash can't be read, or what was read is not what the container was made for.
    pub fn read(
        &self,
        to: &mut [u8],
        read: impl Fn(u64, &mut [u8]) -> Result<(), FlashError>,
        mut progress: impl FnMut(u64),
    ) -> Result<usize, ImageError> {
        let mut corrected = 0;
        let mut done_bytes = 0;
        for step in to.chunks_mut(STEP_BYTES) {
            let at_bytes = self.at_bytes + done_bytes;
            corrected += self.partition.read(at_bytes, step, &read)?;
            done_bytes += step.len() as u64;
            progress(done_bytes);
        }
        if let Some(container) = &self.container {
            container.check(to)?;
        }
        Ok(corrected)
    }

    /// Checks that keys vouch for the image, of which `trusted` is the hash.
    ///
    /// # Errors
    /// They don't, or nobody says which would have to.
    pub fn check_signatures(&self, trusted: Option<&[u8; HASH_BYTES]>) -> Result<(), VouchError> {
        let name = self.partition.name;
        let trusted = trusted.ok_or(VouchError::NoKeys(name))?;
        let container = self.container.as_ref();
        let container = container.ok_or(VouchError::NoContainer(name))?;
        Ok(container.check_signatures(trusted)?)
    }

    /// The SHA-512 of the image, which is `bytes`: its container's, for [`Image::read`] has compared them.
    #[must_use]
    pub fn measure(&self, bytes: &[u8]) -> [u8; HASH_BYTES] {
        match &self.container {
            Some(container) => *container.payload_hash(),
            None => Sha512::digest(bytes).into(),
        }
    }

    #[must_use]
    pub fn name(&self) -> Name {
        self.partition.name
    }

    /// Whether a container vouches for it.
    #[must_use]
    pub fn has_container(&self) -> bool {
        self.container.is_some()
    }
}

/// Why a file can't be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnpackError {
    #[error("xz file is damaged: {0}")]
    Xz(XzError),
    #[error("xz file is cut short")]
    Truncated,
    #[error("xz file becomes longer than {0} bytes")]
    TooLong(usize),
}

/// Unpacks a file of xz's; `dictionary` is memory for that. Answers how long it became.
///
/// # Errors
/// It is damaged, or doesn't fit.
pub fn unpack(packed: &[u8], to: &mut [u8], dictionary: &mut [u8]) -> Result<usize, UnpackError> {
    let mut decoder = XzDecoder::with_fixed_size_dict(dictionary);
    let (mut taken, mut made) = (0, 0);
    loop {
        let step = decoder.decode(&packed[taken..], &mut to[made..]);
        let (consumed, produced, is_over) = match step {
            Ok(XzNextBlockResult::NeedMoreData(consumed, produced)) => (consumed, produced, false),
            Ok(XzNextBlockResult::EndOfStream(consumed, produced)) => (consumed, produced, true),
            Err(XzError::NeedsLargerInputBuffer) => return Err(UnpackError::Truncated),
            Err(why) => return Err(UnpackError::Xz(why)),
        };
        taken += consumed;
        made += produced;
        if is_over {
            return Ok(made);
        }
        if made == to.len() {
            return Err(UnpackError::TooLong(made));
        }
        if consumed == 0 && produced == 0 {
            return Err(UnpackError::Truncated);
        }
    }
}

#[cfg(test)]
mod tests;
