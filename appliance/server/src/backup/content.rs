//! What is in a backup, before it is sealed: an archive (tar) of the key and, compressed, the database.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, Header};

use super::BackupError;
use crate::domain::Timestamp;
use crate::private_file;
use crate::vault::Key;

/// Larger than any database.
const DATABASE_MAX: u64 = 8 << 30;
const DATABASE: &str = "penstock.db.gz";
const KEY: &str = "seal.key";

/// What SQLite appends to the name of a database's file for the files beside it.
pub(super) const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// The file of a database that has this suffix.
pub(super) fn part(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

/// Writes both. The database is compressed into a file first: an archive says the length of what comes.
pub(super) fn pack(key: &Key, database: &Path, to: &mut impl Write) -> io::Result<()> {
    let compressed = part(database, ".part");
    let packed = pack_through(&compressed, key, database, to);
    private_file::remove(&compressed)?;
    packed
}

fn pack_through(compressed: &Path, key: &Key, database: &Path, to: &mut impl Write) -> io::Result<()> {
    let mut encoder = GzEncoder::new(File::create(compressed)?, Compression::fast());
    io::copy(&mut File::open(database)?, &mut encoder)?;
    encoder.finish()?;
    let mut archive = Builder::new(to);
    append(&mut archive, KEY, key.bytes().len() as u64, &key.bytes()[..])?;
    let compressed = File::open(compressed)?;
    append(&mut archive, DATABASE, compressed.metadata()?.len(), compressed)?;
    archive.finish()
}

fn append(archive: &mut Builder<impl Write>, name: &str, length: u64, content: impl Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o600);
    header.set_mtime(Timestamp::now().second());
    archive.append_data(&mut header, name, content)
}

/// Writes the database to `database`, and gives the key.
pub(super) fn unpack(from: &mut impl Read, database: &Path) -> Result<Key, BackupError> {
    let (mut key, mut whole) = (None, false);
    let mut archive = Archive::new(from);
    for entry in archive.entries()? {
        let mut entry = entry?;
        match entry.path()?.to_str() {
            Some(KEY) => {
                let mut bytes = [0; Key::LENGTH];
                entry.read_exact(&mut bytes)?;
                key = Some(Key::new(bytes));
            }
            Some(DATABASE) => {
                let mut file = File::create(database)?;
                let length = io::copy(&mut GzDecoder::new(entry).take(DATABASE_MAX), &mut file)?;
                file.sync_all()?;
                whole = length < DATABASE_MAX;
            }
            // A later release may add to it.
            _ => {}
        }
    }
    key.filter(|_| whole).ok_or(BackupError::NotOne)
}

/// Puts `copy` in the place of `database`, and `key` into its file. What was there is kept beside it, under the time of now. At
/// every moment between there is the one database or the other.
pub(super) fn exchange(copy: &Path, database: &Path, key: &Key, key_file: &Path) -> io::Result<()> {
    let aside = format!(".damaged-{}", Timestamp::now().second());
    for suffix in PARTS {
        let was = part(database, suffix);
        if was.try_exists()? {
            fs::hard_link(&was, part(&part(database, &aside), suffix))?;
        }
    }
    if private_file::read(key_file)?.as_deref() != Some(&key.bytes()[..]) {
        if key_file.try_exists()? {
            fs::hard_link(key_file, part(key_file, &aside))?;
        }
        private_file::write(key_file, key.bytes())?;
    }
    // They belong to the damaged one: SQLite would take them for the other's.
    private_file::remove(&part(database, "-wal"))?;
    private_file::remove(&part(database, "-shm"))?;
    private_file::settle(copy, database)
}
