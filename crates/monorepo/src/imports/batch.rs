//! Many sources at once: in parallel, and each content once, whatever its path and commit.

use std::sync::Arc;

use foldhash::HashMap;

use super::resolve::{Importer, Resolution, Resolver};
use super::syntax::Arena;
use super::{Import, Scan, Source, scan_in, search};
use crate::files::{BlobId, Entry, Files, Kind};
use crate::parallel::in_parallel;
use crate::problem::Problem;

/// The largest source that is parsed, in bytes: what is larger was made by a program, mostly out of what is read elsewhere.
const LARGEST_PARSED: usize = 2 * 1024 * 1024;

/// What was scanned before: two commits share most of their contents.
#[derive(Debug, Default)]
pub struct Cache {
    scans: HashMap<Key, Arc<Scan>>,
}

/// The same content is read one way as `.ts` and another as `.tsx`, and not parsed as `.min.js`.
type Key = (BlobId, Source, bool);

/// What many files import.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scanned {
    /// What each file imports, in the order of the paths that were asked for.
    pub scans: Vec<Arc<Scan>>,
    /// What could not be read, or was read by its words alone; in the order of the paths.
    pub problems: Vec<Problem>,
}

impl Scanned {
    /// The imports of the file that was asked for at a place.
    pub fn imports(&self, place: usize) -> &[Import] {
        self.scans.get(place).map_or(&[], |scan| scan.imports.as_slice())
    }
}

/// Scans files of the commit. What is no source imports nothing.
pub fn scan_all(files: &Files<'_>, sources: &[(&str, Entry)], cache: &mut Cache) -> Scanned {
    let keys: Vec<Option<Key>> = sources.iter().map(|(path, entry)| key(path, *entry)).collect();
    let unread = keys.iter().zip(sources).filter_map(|(key, (path, _))| Some(((*key)?, *path)));
    let unread = unread.filter(|(key, _)| !cache.scans.contains_key(key));
    let mut unread =
        files.in_order(unread.map(|((id, source, is_minified), path)| (id, (source, is_minified, path))).collect());
    unread.dedup_by_key(|(id, (source, is_minified, _))| (*id, *source, *is_minified));
    let nothing = Arc::<Scan>::default();
    let scans = in_parallel(unread.len(), Arena::default, |arena, portion| {
        let kept = |scan: Scan| if scan == *nothing { Arc::clone(&nothing) } else { Arc::new(scan) };
        unread[portion].iter().map(|(id, (.., path))| kept(read(files, *id, path, arena))).collect()
    });
    let keys_of = unread.iter().map(|(id, (source, is_minified, _))| (*id, *source, *is_minified));
    cache.scans.extend(keys_of.zip(scans));
    let known = |key: &Option<Key>| key.and_then(|key| cache.scans.get(&key)).unwrap_or(&nothing).clone();
    let scans: Vec<Arc<Scan>> = keys.iter().map(known).collect();
    Scanned { problems: problems(sources, &scans), scans }
}

fn key(path: &str, entry: Entry) -> Option<Key> {
    let is_file = matches!(entry.kind, Kind::File | Kind::Executable);
    Source::of(path).filter(|_| is_file).map(|source| (entry.id, source, is_minified(path)))
}

/// Where all imports of files lead: for each file, in the order of its imports. The files are best in order, as those of a
/// folder share what is looked up.
pub fn resolve_all(resolver: &Resolver<'_>, sources: &[(&str, Entry)], scanned: &Scanned) -> Vec<Vec<Arc<Resolution>>> {
    in_parallel(sources.len(), Memory::default, |memory, portion| {
        portion.map(|place| memory.resolve(resolver, sources[place].0, scanned.imports(place))).collect()
    })
}

/// What is known of the folder whose files are looked up.
#[derive(Default)]
struct Memory<'r> {
    importer: Option<Importer<'r>>,
    known: HashMap<Arc<str>, Arc<Resolution>>,
}

impl<'r> Memory<'r> {
    fn resolve(&mut self, resolver: &'r Resolver<'r>, path: &'r str, imports: &[Import]) -> Vec<Arc<Resolution>> {
        let importer = match self.importer.take().filter(|importer| importer.is_for(path)) {
            Some(importer) => importer,
            None => {
                self.known.clear();
                Importer::new(resolver, path)
            }
        };
        let resolve = |specifier: &Arc<str>| Arc::new(importer.resolve(specifier));
        let known = &mut self.known;
        let resolutions = imports
            .iter()
            .map(|Import { specifier, .. }| known.entry(specifier.clone()).or_insert_with_key(resolve).clone())
            .collect();
        self.importer = Some(importer);
        resolutions
    }
}

fn read(files: &Files<'_>, id: BlobId, path: &str, arena: &mut Arena) -> Scan {
    let bytes = match files.read(id) {
        Ok(bytes) => bytes,
        Err(why) => return Scan { trouble: Some((None, why)), ..Scan::default() },
    };
    let Some(text) = text(bytes) else { return Scan::default() };
    if text.starts_with("version https://git-lfs.github.com/spec/") {
        let message = "kept by Git LFS: what it imports is not in the repository";
        return Scan { trouble: Some((None, message.to_owned())), ..Scan::default() };
    }
    if text.len() > LARGEST_PARSED || is_minified(path) { search(arena, &text) } else { scan_in(arena, path, &text) }
}

/// The text of a source; `None` if it is none: a video is a `.ts` as well. What is not UTF-8 does not spoil the rest.
fn text(bytes: Vec<u8>) -> Option<String> {
    let words = |from: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes[2..].chunks_exact(2).map(|pair| from([pair[0], pair[1]])).collect()
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => Some(String::from_utf16_lossy(&words(u16::from_le_bytes))),
        [0xfe, 0xff, ..] => Some(String::from_utf16_lossy(&words(u16::from_be_bytes))),
        // As git tells a text from other files.
        _ if memchr::memchr(0, &bytes[..bytes.len().min(8000)]).is_some() => None,
        _ => Some(
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
    }
}

fn is_minified(path: &str) -> bool {
    [".min.js", ".min.mjs", ".min.cjs", ".min.css"].iter().any(|end| path.ends_with(end))
}

/// What is wrong with files, and one problem for all that were not parsed.
fn problems(sources: &[(&str, Entry)], scans: &[Arc<Scan>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut unparsed = Vec::new();
    for ((path, _), scan) in sources.iter().zip(scans) {
        if scan.is_unparsed {
            unparsed.push(*path);
        }
        problems.extend(scan.trouble.as_ref().map(|(line, message)| Problem {
            path: (*path).to_owned(),
            line: *line,
            message: message.clone(),
        }));
    }
    if let [first, others @ ..] = unparsed.as_slice() {
        let more =
            if others.is_empty() { String::new() } else { format!("; so are {} more files like it", others.len()) };
        problems.push(Problem::new(
            first,
            format!("minified or larger than 2 MiB, so it is searched for imports, not parsed{more}"),
        ));
    }
    problems
}

#[cfg(test)]
mod tests;
