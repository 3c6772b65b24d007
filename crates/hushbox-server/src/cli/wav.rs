//! A WAV file for its owner alone, never over an existing one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hound::{SampleFormat, WavSpec, WavWriter};

/// A WAV file that is being written: 16-bit PCM, mono.
pub(super) struct WavFile(WavWriter<BufWriter<File>>);

/// Makes the file, empty, before anything is asked for: an access that is written down must not end at a missing folder.
pub(super) fn reserve(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

impl WavFile {
    /// Begins the file that was reserved.
    pub(super) fn begin(file: File, sample_rate: u32) -> io::Result<Self> {
        let spec = WavSpec {
            channels: 1,
            sample_rate,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        WavWriter::new(BufWriter::new(file), spec).map(Self).map_err(as_io)
    }

    /// Adds samples: 16-bit little-endian, in Base64.
    pub(super) fn append(&mut self, text: &str) -> io::Result<()> {
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        for sample in bytes.chunks_exact(2) {
            self.0.write_sample(i16::from_le_bytes([sample[0], sample[1]])).map_err(as_io)?;
        }
        Ok(())
    }

    /// Completes the header.
    pub(super) fn finish(self) -> io::Result<()> {
        self.0.finalize().map_err(as_io)
    }
}

fn as_io(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_private_and_an_existing_one_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.wav");
        let mut file = WavFile::begin(reserve(&path).expect("made"), 8_000).expect("begun");
        file.append(&STANDARD.encode([1, 0, 255, 255])).expect("appended");
        file.finish().expect("finished");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let mut reader = hound::WavReader::open(&path).expect("a WAV file");
        assert_eq!(
            reader.samples::<i16>().collect::<Result<Vec<_>, _>>().expect("samples"),
            [1, -1]
        );
        assert!(reserve(&path).is_err());
    }
}
