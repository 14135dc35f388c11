//! Combines stacks: by the site that allocated, and by every function on the way there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::named::Named;
use crate::names::Place;
use crate::profile::Tally;
use crate::tree::StackId;

/// Everything that one place in the source allocated.
#[derive(Debug)]
pub(super) struct Site<'n> {
    /// The place.
    pub place: &'n Place,
    /// The sum.
    pub tally: Tally,
    /// Its stacks.
    pub stacks: Vec<(StackId, Tally)>,
}

/// Returns the number of frames, from the innermost on, that are within the site. The callers of the site begin after
/// them.
pub(super) fn depth_of_site(named: &Named, stack: StackId, all_frames: bool) -> usize {
    let mut places = named.places(stack);
    let found = places.position(|(_, place)| all_frames || !place.is_plumbing());
    found.unwrap_or(0)
}

/// Returns the sites of a profile, among them what is lost. A stack's site is the innermost place that does not
/// allocate for others ([`Place::is_plumbing`]). It is the innermost of all if there is no such place, or with
/// `all_frames`.
pub(super) fn sites(named: &Named, all_frames: bool) -> Vec<Site<'_>> {
    let mut sites: HashMap<&Place, Site<'_>> = HashMap::new();
    for &(stack, tally) in named.stacks() {
        let depth = depth_of_site(named, stack, all_frames);
        let Some((_, place)) = named.places(stack).nth(depth) else {
            continue;
        };
        let site = sites.entry(place).or_insert_with(|| Site {
            place,
            tally: Tally::default(),
            stacks: Vec::new(),
        });
        site.tally.add(&tally);
        site.stacks.push((stack, tally));
    }
    let mut sites: Vec<Site<'_>> = sites.into_values().collect();
    // Any order, but always the same.
    sites.sort_by(|a, b| a.place.cmp(b.place));
    sites
}

/// A function with all allocations that were made while it ran.
#[derive(Debug)]
pub(super) struct Function {
    /// Its name.
    pub name: Arc<str>,
    /// Its file, because closures of different files may have the same name.
    pub file: Arc<str>,
    /// The sum over all stacks that it is in.
    pub tally: Tally,
}

/// Returns the functions of a profile, each with all stacks that contain it. A stack counts once, however often it
/// contains the function. Functions that allocate for others ([`Place::is_plumbing`]) are left out unless `all_frames`
/// is set.
pub(super) fn functions(named: &Named, all_frames: bool) -> Vec<Function> {
    let mut sums: HashMap<(&Arc<str>, &Arc<str>), Tally> = HashMap::new();
    let mut seen: HashSet<(&Arc<str>, &Arc<str>)> = HashSet::new();
    for (stack, tally) in named.stacks() {
        seen.clear();
        for (_, place) in named.places(*stack) {
            let function = (&place.function, &place.file);
            if (all_frames || !place.is_plumbing()) && seen.insert(function) {
                sums.entry(function).or_default().add(tally);
            }
        }
    }
    let mut functions: Vec<Function> = sums
        .into_iter()
        .map(|((name, file), tally)| Function {
            name: Arc::clone(name),
            file: Arc::clone(file),
            tally,
        })
        .collect();
    functions.sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
    functions
}
