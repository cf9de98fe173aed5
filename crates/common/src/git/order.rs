//! The order in which many contents are read fastest.
//!
//! A pack tells most contents by what differs from another one, their base, and that one in the same way, up to fifty times over; in
//! the pack they may lie far apart. Here, what is told by a content comes right after it, and what most is told by comes last: it may
//! be forgotten once the next is read. Each of 30,000 sources, packed as for a clone, is unpacked once instead of four times, as in
//! the order of the pack.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::path::Path;

use foldhash::HashMap;
use gix::ObjectId;
use gix::odb::pack::data::{self, entry::Header};
use gix::odb::pack::index;
use monorepo::files::BlobId;

/// Of each content its place in that order. What is in no pack comes last.
pub(super) fn places(objects: &Path, ids: &[BlobId]) -> Vec<usize> {
    let mut places = vec![usize::MAX; ids.len()];
    let mut before = 0;
    for pack in packs(objects) {
        let offsets = ids.iter().map(|id| pack.offset(ObjectId::from(id.0)));
        let offsets: Vec<Option<u64>> = offsets.collect();
        let order = pack.order(offsets.iter().copied().flatten());
        for (place, offset) in places.iter_mut().zip(offsets) {
            if let Some(found) = offset.and_then(|offset| order.get(&offset)).filter(|_| *place == usize::MAX) {
                *place = before + found;
            }
        }
        before += order.len();
    }
    places
}

/// All packs. One that cannot be read makes nothing wrong, but slower.
fn packs(objects: &Path) -> Vec<Pack> {
    let files = std::fs::read_dir(objects.join("pack")).into_iter().flatten().flatten().map(|file| file.path());
    let indices = files.filter(|path| path.extension().is_some_and(|extension| extension == "idx"));
    let open = |path: &Path| {
        let index = index::File::at(path, gix::hash::Kind::Sha1).ok()?;
        Some(Pack { index, data: data::File::at(path.with_extension("pack"), gix::hash::Kind::Sha1).ok()? })
    };
    indices.filter_map(|path| open(&path)).collect()
}

/// A pack with its index. What is in it is known by the byte that it begins at.
struct Pack {
    index: index::File,
    data: data::File,
}

impl Pack {
    /// The places of contents, and of all that they are told by.
    fn order(&self, wanted: impl Iterator<Item = u64>) -> HashMap<u64, usize> {
        let mut chains = Chains::default();
        for offset in wanted {
            chains.add(offset, |offset| self.base(offset));
        }
        let order = chains.walked();
        order.into_iter().enumerate().filter_map(|(place, node)| Some((*chains.offsets.get(node)?, place))).collect()
    }

    fn offset(&self, id: ObjectId) -> Option<u64> {
        Some(self.index.pack_offset_at_index(self.index.lookup(id)?))
    }

    /// What a content is told by, if it is told by another one of the pack.
    fn base(&self, offset: u64) -> Option<u64> {
        let entry = self.data.entry(offset).ok()?;
        match entry.header {
            Header::OfsDelta { base_distance } => entry.checked_base_pack_offset(base_distance),
            Header::RefDelta { base_id } => self.offset(base_id),
            Header::Commit | Header::Tree | Header::Blob | Header::Tag => None,
        }
    }
}

/// Contents and what tells them, each by a number.
#[derive(Default)]
struct Chains {
    offsets: Vec<u64>,
    /// Of each what it is told by; nothing for what is told by itself.
    bases: Vec<Option<usize>>,
    numbers: HashMap<u64, usize>,
}

impl Chains {
    /// Adds a content, and all that it is told by.
    fn add(&mut self, offset: u64, base: impl Fn(u64) -> Option<u64>) {
        let (mut next, mut above) = (Some(offset), None);
        while let Some(offset) = next {
            let number = self.offsets.len();
            let (number, is_new) = match self.numbers.entry(offset) {
                Entry::Occupied(known) => (*known.get(), false),
                Entry::Vacant(new) => (*new.insert(number), true),
            };
            if let Some(above) = above {
                self.bases[above] = Some(number);
            }
            if !is_new {
                return;
            }
            self.offsets.push(offset);
            self.bases.push(None);
            (next, above) = (base(offset), Some(number));
        }
    }

    /// All of them: each before what is told by it, and of what is told by the same one that last by which most is told.
    fn walked(&self) -> Vec<usize> {
        let mut below = Below::new(&self.bases);
        let mut weights = vec![1_usize; self.bases.len()];
        for number in below.walked().into_iter().rev() {
            if let Some(base) = self.bases[number] {
                weights[base] += weights[number];
            }
        }
        below.sort(|number| Reverse((weights[number], self.offsets[number])));
        below.walked()
    }
}

/// What is told by each, one after another in one list.
struct Below {
    numbers: Vec<usize>,
    /// Where in the list begins what is told by each; at the end, by none.
    starts: Vec<usize>,
}

impl Below {
    fn new(bases: &[Option<usize>]) -> Self {
        let list = |base: Option<usize>| base.unwrap_or(bases.len());
        let mut starts = vec![0; bases.len() + 2];
        bases.iter().for_each(|base| starts[list(*base) + 1] += 1);
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let (mut next, mut numbers) = (starts.clone(), vec![0; bases.len()]);
        for (number, base) in bases.iter().enumerate() {
            let place = &mut next[list(*base)];
            numbers[*place] = number;
            *place += 1;
        }
        Self { numbers, starts }
    }

    fn sort<Key: Ord>(&mut self, key: impl Fn(usize) -> Key) {
        for ends in self.starts.windows(2) {
            self.numbers[ends[0]..ends[1]].sort_unstable_by_key(|number| key(*number));
        }
    }

    /// Each before what is told by it, the last of a list first.
    fn walked(&self) -> Vec<usize> {
        let of = |list: usize| &self.numbers[self.starts[list]..self.starts[list + 1]];
        let mut walked = Vec::with_capacity(self.numbers.len());
        let mut open = of(self.starts.len() - 2).to_vec();
        while let Some(number) = open.pop() {
            walked.push(number);
            open.extend_from_slice(of(number));
        }
        walked
    }
}

#[cfg(test)]
mod tests {
    use foldhash::HashSet;

    use super::super::tests::made::Made;
    use super::*;

    /// Contents that are told by each other, as git's own account of its packs has them.
    fn told(made: &Made) -> Vec<(ObjectId, Option<ObjectId>)> {
        let files = std::fs::read_dir(made.path().join(".git/objects/pack")).unwrap().flatten();
        let mut files = files.map(|file| file.path());
        let index = files.find(|path| path.extension().is_some_and(|extension| extension == "idx")).unwrap();
        let listed = made.git(&["verify-pack", "-v", index.to_str().unwrap()]);
        let id = |text: &str| ObjectId::from_hex(text.as_bytes()).unwrap();
        let words = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let blobs = words.filter(|words| words.get(1) == Some(&"blob"));
        blobs.map(|words| (id(words[0]), words.get(6).map(|base| id(base)))).collect()
    }

    fn blob(id: ObjectId) -> BlobId {
        BlobId(id.as_bytes().try_into().unwrap())
    }

    #[test]
    fn each_content_comes_after_what_it_is_told_by() {
        let made = Made::new();
        let text = |number: usize| -> String {
            (0..60)
                .map(|line| format!("line {} of some text\n", if line % 7 == number % 7 { number } else { line }))
                .collect()
        };
        let files: Vec<(String, String)> = (0..40).map(|number| (format!("{number}/a.ts"), text(number))).collect();
        made.commit(&files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect::<Vec<_>>());
        made.git(&["repack", "-a", "-d", "-f", "--quiet"]);
        made.commit(&[("loose.ts", Some("in no pack"))]);
        let told = told(&made);
        let loose = ObjectId::from_hex(made.git(&["rev-parse", "HEAD:loose.ts"]).as_bytes()).unwrap();
        let ids: Vec<BlobId> = told.iter().map(|(id, _)| *id).chain([loose, told[0].0]).map(blob).collect();
        let found = places(&made.path().join(".git/objects"), &ids);
        let of = |id: &ObjectId| found[told.iter().position(|(known, _)| known == id).unwrap()];
        let bases: Vec<_> = told.iter().filter_map(|(id, base)| Some((id, base.as_ref()?))).collect();
        assert!(bases.len() > 20, "git told few by others: {}", bases.len());
        bases.iter().for_each(|(id, base)| assert!(of(base) < of(id)));
        let (loose, again) = (found[told.len()], found[told.len() + 1]);
        assert_eq!((loose, again), (usize::MAX, found[0]));
        let distinct: HashSet<usize> = found[..told.len()].iter().copied().collect();
        assert_eq!(distinct.len(), told.len());
    }
}
