//! NumPy's `.npz`: a ZIP archive with one `.npy` member per array, stored or deflated.
//!
//! Only what NumPy writes is read: one disk, no encryption, no member or archive of 4 GiB or more. The central
//! directory is the authority on sizes; what a member expands to is bounded before it is expanded.

use super::{FormatFault, MAX_ARRAYS, MAX_FILE_BYTES, MAX_NAME_BYTES, NamedArray, npy};
use flate2::bufread::DeflateDecoder;
use std::io::Read;

/// How an archive begins: with a member.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";
/// How an archive without members begins.
pub(super) const MAGIC_EMPTY: &[u8] = b"PK\x05\x06";
const CENTRAL_MAGIC: &[u8] = b"PK\x01\x02";
const END_MAGIC: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const CENTRAL_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
/// Longest comment after the end record.
const MAX_COMMENT_BYTES: usize = 0xffff;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const ENCRYPTED_FLAG: u16 = 1;
const SUFFIX: &str = ".npy";

struct Member<'a> {
    name: &'a str,
    method: u16,
    crc: u32,
    packed: &'a [u8],
    length: u64,
}

/// Reads all arrays. `budget`: values that they may have together.
pub(super) fn parse(bytes: &[u8], budget: &mut usize) -> Result<Vec<NamedArray>, FormatFault> {
    let mut arrays: Vec<NamedArray> = Vec::new();
    let mut room = MAX_FILE_BYTES;
    for member in members(bytes)? {
        let name = member.name.strip_suffix(SUFFIX);
        let name = name
            .ok_or(FormatFault::Archive {
                reason: "a member is not named *.npy",
            })?
            .to_owned();
        if arrays
            .iter()
            .any(|array| array.name.as_deref() == Some(name.as_str()))
        {
            return Err(FormatFault::Name);
        }
        room = room.checked_sub(member.length).ok_or(FormatFault::Size)?;
        let contents = unpack(&member)?;
        if !contents.starts_with(npy::MAGIC) {
            return Err(FormatFault::Archive {
                reason: "a member is no .npy array",
            });
        }
        arrays.push(npy::parse(&contents, Some(name), budget)?);
    }
    Ok(arrays)
}

fn unpack(member: &Member) -> Result<Vec<u8>, FormatFault> {
    let mut contents = Vec::new();
    let read = match member.method {
        STORED => member.packed.take(member.length + 1).read_to_end(&mut contents),
        DEFLATED => DeflateDecoder::new(member.packed)
            .take(member.length + 1)
            .read_to_end(&mut contents),
        _ => {
            return Err(FormatFault::Archive {
                reason: "a compression other than deflate",
            });
        }
    };
    if read.is_err() {
        return Err(FormatFault::Archive {
            reason: "a member cannot be decompressed",
        });
    }
    if u64::try_from(contents.len()) != Ok(member.length) {
        return Err(FormatFault::Archive {
            reason: "a member has another length than stated",
        });
    }
    if crc32fast::hash(&contents) != member.crc {
        return Err(FormatFault::Archive {
            reason: "the checksum of a member differs",
        });
    }
    Ok(contents)
}

fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([record[at], record[at + 1]])
}

fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
}

/// The record of `length` bytes at `at` that begins with `magic`.
fn record<'a>(
    bytes: &'a [u8],
    at: usize,
    length: usize,
    magic: &[u8],
    part: &'static str,
) -> Result<&'a [u8], FormatFault> {
    let end = at.checked_add(length);
    let record = end
        .and_then(|end| bytes.get(at..end))
        .ok_or(FormatFault::Truncated { part })?;
    if record.starts_with(magic) {
        Ok(record)
    } else {
        Err(FormatFault::Archive { reason: part })
    }
}

/// The slice of `length` bytes at `at`.
fn part<'a>(bytes: &'a [u8], at: usize, length: usize, part: &'static str) -> Result<&'a [u8], FormatFault> {
    record(bytes, at, length, &[], part)
}

/// Offset of the end record: the last place where one fits with its comment.
fn find_end(bytes: &[u8]) -> Result<usize, FormatFault> {
    let truncated = FormatFault::Truncated {
        part: "the archive's end record",
    };
    let last = bytes.len().checked_sub(END_BYTES).ok_or(truncated.clone())?;
    let first = last.saturating_sub(MAX_COMMENT_BYTES);
    let fits = |at: &usize| {
        let record = &bytes[*at..];
        record.starts_with(END_MAGIC) && usize::from(u16_at(record, 20)) == record.len() - END_BYTES
    };
    (first..=last).rev().find(fits).ok_or(truncated)
}

fn members(bytes: &[u8]) -> Result<Vec<Member<'_>>, FormatFault> {
    let end = find_end(bytes)?;
    let end_record = &bytes[end..];
    let count = u16_at(end_record, 10);
    if u16_at(end_record, 4) != 0 || u16_at(end_record, 6) != 0 || u16_at(end_record, 8) != count {
        return Err(FormatFault::Archive {
            reason: "it spans several disks",
        });
    }
    if usize::from(count) > MAX_ARRAYS {
        return Err(FormatFault::TooMany);
    }
    let mut at = to_usize(u32_at(end_record, 16))?;
    let mut members = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (member, next) = read_member(bytes, at)?;
        members.push(member);
        at = next;
    }
    if at != end {
        return Err(FormatFault::Archive {
            reason: "its directory does not end at the end record",
        });
    }
    Ok(members)
}

/// Reads the directory entry at `at` and finds the member; also returns where the next entry begins.
fn read_member(bytes: &[u8], at: usize) -> Result<(Member<'_>, usize), FormatFault> {
    let entry = record(bytes, at, CENTRAL_BYTES, CENTRAL_MAGIC, "the archive's directory")?;
    if u16_at(entry, 8) & ENCRYPTED_FLAG != 0 {
        return Err(FormatFault::Archive {
            reason: "a member is encrypted",
        });
    }
    let name_bytes = usize::from(u16_at(entry, 28));
    if name_bytes > MAX_NAME_BYTES {
        return Err(FormatFault::Name);
    }
    let name = part(bytes, at + CENTRAL_BYTES, name_bytes, "the archive's directory")?;
    let name = std::str::from_utf8(name).map_err(|_| FormatFault::Name)?;
    let next =
        at + CENTRAL_BYTES + name_bytes + usize::from(u16_at(entry, 30)) + usize::from(u16_at(entry, 32));

    let local_at = to_usize(u32_at(entry, 42))?;
    let local = record(bytes, local_at, LOCAL_BYTES, MAGIC, "a member's header")?;
    let start = local_at + LOCAL_BYTES + usize::from(u16_at(local, 26)) + usize::from(u16_at(local, 28));
    let packed = part(bytes, start, to_usize(u32_at(entry, 20))?, "a member")?;
    let member = Member {
        name,
        method: u16_at(entry, 10),
        crc: u32_at(entry, 16),
        packed,
        length: u32_at(entry, 24).into(),
    };
    Ok((member, next))
}

fn to_usize(value: u32) -> Result<usize, FormatFault> {
    usize::try_from(value).map_err(|_| FormatFault::Size)
}
