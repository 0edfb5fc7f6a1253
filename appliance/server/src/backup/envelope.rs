//! The envelope of a backup. Its first line says what the file is, the second (JSON) what is in it and how it is sealed; then come
//! pieces of 64 KiB, each sealed with AES-256-GCM by a key that Argon2id makes of the passphrase.
//!
//! The number of a piece, and whether it is the last, are its nonce, and both lines are authenticated with each: pieces
//! cannot be left out, exchanged or cut off, nor the lines be altered (STREAM; Hoang, Reyhanitabar, Rogaway, Vizár 2015).
//! The salt makes each file's key its own, so no nonce is used twice with one.

use std::io::{self, BufRead, BufReader, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{About, BackupError};
use crate::domain::revision::sha256;
use crate::vault;

/// The first line.
const WHAT: &str = "PENSTOCK BACKUP 1\n";
/// The longest second line.
const LINE_MAX: u64 = 8 << 10;
/// What is sealed at once.
const PIECE: usize = 64 << 10;
/// What sealing adds to it.
const TAG: usize = 16;
/// What making a key may cost at most, whatever a file says: KiB of memory, and passes over it.
const COST_MAX: (u32, u32) = (256 << 10, 16);
/// What it costs here.
const COST: (u32, u32) = (64 << 10, 3);

/// The second line.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    about: About,
    sealing: Sealing,
}

/// How the rest is sealed.
#[derive(Serialize, Deserialize)]
struct Sealing {
    cipher: String,
    key_from: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
}

const CIPHER: &str = "aes-256-gcm, pieces of 64 KiB";
const KEY_FROM: &str = "argon2id";

impl Sealing {
    fn new() -> Result<Self, BackupError> {
        let salt: [u8; 16] = vault::random().map_err(io::Error::other)?;
        Ok(Self {
            cipher: CIPHER.to_owned(),
            key_from: KEY_FROM.to_owned(),
            memory_kib: COST.0,
            passes: COST.1,
            salt: STANDARD.encode(salt),
        })
    }

    fn key(&self, passphrase: &str) -> Result<LessSafeKey, BackupError> {
        let Self { cipher, key_from, memory_kib, passes, salt } = self;
        let known = cipher == CIPHER && key_from == KEY_FROM;
        if !known || *memory_kib > COST_MAX.0 || *passes > COST_MAX.1 {
            return Err(BackupError::Newer);
        }
        let salt = STANDARD.decode(salt).map_err(|_| BackupError::NotOne)?;
        let parameters = Params::new(*memory_kib, *passes, 1, None).map_err(|_| BackupError::NotOne)?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(passphrase.as_bytes(), &salt, &mut key)
            .map_err(|_| BackupError::NotOne)?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(io::Error::other)?;
        Ok(LessSafeKey::new(key))
    }
}

/// What both directions work with.
struct Pieces {
    key: LessSafeKey,
    lines: String,
    number: u64,
}

impl Pieces {
    fn new(key: LessSafeKey, line: &str) -> Self {
        Self { key, lines: sha256(format!("{WHAT}{line}").as_bytes()), number: 0 }
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(is_last);
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, piece: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let nonce = self.nonce(is_last);
        let lines = Aad::from(self.lines.as_bytes());
        self.key.seal_in_place_append_tag(nonce, lines, piece).map_err(io::Error::other)
    }

    fn open(&mut self, mut piece: Vec<u8>, is_last: bool) -> io::Result<Vec<u8>> {
        let nonce = self.nonce(is_last);
        let lines = Aad::from(self.lines.as_bytes());
        let altered = |_| io::Error::new(io::ErrorKind::InvalidData, "the backup was altered or cut off");
        let length = self.key.open_in_place(nonce, lines, &mut piece).map_err(altered)?.len();
        piece.truncate(length);
        Ok(piece)
    }
}

/// Seals what is written.
pub(super) struct Sealer<W> {
    out: W,
    pieces: Pieces,
    piece: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    /// Writes the two lines.
    pub(super) fn begin(mut out: W, about: &About, passphrase: &str) -> Result<Self, BackupError> {
        let sealing = Sealing::new()?;
        let key = sealing.key(passphrase)?;
        let line =
            serde_json::to_string(&Line { about: about.clone(), sealing }).map_err(io::Error::other)?;
        let line = format!("{line}\n");
        out.write_all(WHAT.as_bytes())?;
        out.write_all(line.as_bytes())?;
        Ok(Self { out, pieces: Pieces::new(key, &line), piece: Vec::with_capacity(PIECE + TAG) })
    }

    /// Writes the last piece. What is not ended so is not opened.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.put(true)?;
        Ok(self.out)
    }

    fn put(&mut self, is_last: bool) -> io::Result<()> {
        self.pieces.seal(&mut self.piece, is_last)?;
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One that is full may be the last: it waits until there is more.
        if self.piece.len() == PIECE {
            self.put(false)?;
        }
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the lines of a file say. Nobody vouches for it before the file is opened.
pub(super) fn about(file: impl Read) -> Result<About, BackupError> {
    Ok(lines(&mut BufReader::new(file))?.0.about)
}

fn lines(file: &mut impl BufRead) -> Result<(Line, String), BackupError> {
    let mut what = String::new();
    let mut line = String::new();
    let text = |read: io::Result<usize>| match read {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(BackupError::File(error)),
        Err(_) => Err(BackupError::NotOne),
        Ok(_) => Ok(()),
    };
    text(file.by_ref().take(WHAT.len() as u64).read_line(&mut what))?;
    if what != WHAT {
        let newer = what.starts_with("PENSTOCK BACKUP ") && what.ends_with('\n');
        return Err(if newer { BackupError::Newer } else { BackupError::NotOne });
    }
    text(file.by_ref().take(LINE_MAX).read_line(&mut line))?;
    let read = serde_json::from_str(&line).map_err(|_| BackupError::NotOne)?;
    Ok((read, line))
}

/// Opens what was sealed, as it is read.
pub(super) struct Opener<R> {
    file: R,
    pieces: Pieces,
    /// The piece that comes next, still sealed; with none after it, it is the last.
    next: Vec<u8>,
    piece: Vec<u8>,
    read: usize,
}

impl<R: Read> Opener<BufReader<R>> {
    /// Reads the two lines and the first piece: whether this is the passphrase is known then.
    pub(super) fn begin(file: R, passphrase: &str) -> Result<Self, BackupError> {
        let mut file = BufReader::new(file);
        let (Line { sealing, .. }, line) = lines(&mut file)?;
        let pieces = Pieces::new(sealing.key(passphrase)?, &line);
        let next = sealed(&mut file)?;
        let mut opener = Self { file, pieces, next, piece: Vec::new(), read: 0 };
        match opener.advance().map_err(BackupError::from) {
            Err(BackupError::Altered) => Err(BackupError::Passphrase),
            Err(error) => Err(error),
            Ok(()) => Ok(opener),
        }
    }
}

impl<R: Read> Opener<R> {
    fn advance(&mut self) -> io::Result<()> {
        let after = sealed(&mut self.file)?;
        let piece = std::mem::replace(&mut self.next, after);
        self.piece = self.pieces.open(piece, self.next.is_empty())?;
        self.read = 0;
        Ok(())
    }
}

/// A whole sealed piece, or the last, which may be shorter; nothing at the end.
fn sealed(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE + TAG);
    file.take((PIECE + TAG) as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() && !self.next.is_empty() {
            self.advance()?;
        }
        let taken = bytes.len().min(self.piece.len() - self.read);
        bytes[..taken].copy_from_slice(&self.piece[self.read..self.read + taken]);
        self.read += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    const PASSPHRASE: &str = "weir and sluice";

    fn sealed_file(content: &[u8]) -> Vec<u8> {
        let about = About {
            created_at: Timestamp::at_second(1),
            version: "1.2.3".to_owned(),
            generation: 7,
            comment: "before\nthe sale".to_owned(),
        };
        let mut sealer = Sealer::begin(Vec::new(), &about, PASSPHRASE).unwrap();
        sealer.write_all(content).unwrap();
        sealer.end().unwrap()
    }

    fn opened(file: &[u8], passphrase: &str) -> Result<Vec<u8>, BackupError> {
        let mut content = Vec::new();
        Opener::begin(file, passphrase)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn what_was_sealed_is_opened_whatever_its_length() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 5] {
            let content: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let file = sealed_file(&content);
            assert_eq!(opened(&file, PASSPHRASE).unwrap(), content, "{length}");
            let said = about(&*file).unwrap();
            assert_eq!((said.generation, said.comment.as_str()), (7, "before\nthe sale"));
        }
    }

    #[test]
    fn another_passphrase_opens_nothing() {
        let file = sealed_file(b"secret");
        assert!(!file.windows(6).any(|window| window == b"secret"));
        assert!(matches!(opened(&file, "weir and sluicf"), Err(BackupError::Passphrase)));
    }

    #[test]
    fn what_was_altered_anywhere_or_cut_off_is_refused() {
        let file = sealed_file(&vec![7; 2 * PIECE + 5]);
        let body = file.len() - (2 * PIECE + 5 + 3 * TAG);
        let piece = PIECE + TAG;
        for at in [body, body + piece + 9, file.len() - 1] {
            let mut altered = file.clone();
            altered[at] ^= 1;
            assert!(opened(&altered, PASSPHRASE).is_err(), "byte {at}");
        }
        let said = String::from_utf8_lossy(&file[..body]).replace("\"generation\":7", "\"generation\":8");
        assert!(opened(&[said.as_bytes(), &file[body..]].concat(), PASSPHRASE).is_err(), "its lines");
        for length in [body, body + piece, body + 2 * piece, file.len() - 1] {
            assert!(opened(&file[..length], PASSPHRASE).is_err(), "cut at {length}");
        }
        let exchanged =
            [&file[..body], &file[body + piece..body + 2 * piece], &file[body..body + piece]].concat();
        assert!(opened(&[&exchanged, &file[body + 2 * piece..]].concat(), PASSPHRASE).is_err());
    }

    #[test]
    fn what_is_no_backup_is_said_so() {
        for text in ["", "PENSTOCK", "PENSTOCK BACKUP 1\n", "SQLite format 3\0 and more of it"] {
            assert!(matches!(about(text.as_bytes()), Err(BackupError::NotOne)), "{text}");
        }
        assert!(matches!(about(&[0xff; 100][..]), Err(BackupError::NotOne)));
        assert!(matches!(about("PENSTOCK BACKUP 2\n{}\n".as_bytes()), Err(BackupError::Newer)));
        let dear = sealed_file(b"");
        let dear = String::from_utf8_lossy(&dear).replace("\"memory_kib\":65536", "\"memory_kib\":4194304");
        assert!(matches!(opened(dear.as_bytes(), PASSPHRASE), Err(BackupError::Newer)));
    }
}
