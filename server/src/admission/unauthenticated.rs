//! The places for connections that have not authenticated yet, and who gives way when they are taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::{AdmissionRefusal, ConnectionId, Source};

/// How long a connection is safe from newcomers of sources that hold as much as its own: five round trips to the far
/// side of the earth, of which a greeting takes three.
pub(super) const SAFE: Duration = Duration::from_secs(1);

/// A connection that has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) source: Source,
    /// No penalties for it.
    pub(super) exempt: bool,
    /// When it arrived.
    pub(super) since: Instant,
}

impl Connection {
    /// Whether it has had the time in which most authenticate.
    pub(super) fn has_had_its_time(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SAFE
    }
}

/// The connections that have not authenticated yet.
#[derive(Debug)]
pub(super) struct Unauthenticated {
    places: usize,
    places_per_source: usize,
    connections: HashMap<ConnectionId, Connection>,
    /// Never an empty set. Ids are in the order of arrival, so the first of a set is the oldest.
    by_source: HashMap<Source, BTreeSet<ConnectionId>>,
    /// The oldest connection of every source, under the number that the source holds. Never an empty set.
    by_weight: BTreeMap<usize, BTreeSet<ConnectionId>>,
}

impl Unauthenticated {
    pub(super) fn new(places: usize, places_per_source: usize) -> Self {
        Self {
            places,
            places_per_source,
            connections: HashMap::new(),
            by_source: HashMap::new(),
            by_weight: BTreeMap::new(),
        }
    }

    /// Changes the number of places; nobody loses one by that.
    pub(super) fn set_places(&mut self, places: usize, places_per_source: usize) {
        (self.places, self.places_per_source) = (places, places_per_source);
    }

    /// Whether a newcomer of `source` gets a place, and which connection has to leave for it, if any.
    ///
    /// # Errors
    /// [`AdmissionRefusal::Busy`] if nobody has to.
    pub(super) fn room(
        &self,
        source: Source,
        now: Instant,
    ) -> Result<Option<ConnectionId>, AdmissionRefusal> {
        let own = self.by_source.get(&source);
        let held = own.map_or(0, BTreeSet::len);
        let own_oldest =
            || own.and_then(BTreeSet::first).copied().filter(|id| self.has_had_its_time(id, now));
        if held >= self.places_per_source {
            return own_oldest().map(Some).ok_or(AdmissionRefusal::Busy);
        }
        if self.connections.len() < self.places {
            return Ok(None);
        }
        self.heavier_than(held, now).or_else(own_oldest).map(Some).ok_or(AdmissionRefusal::Busy)
    }

    /// The connection that leaves a full table for one of a source that holds `held`.
    ///
    /// Sources that would still hold as much as the newcomer's come first, and are not safe even in their first
    /// second: else whoever reopens its sockets fast enough would leave nothing to evict but the slow client that it
    /// competes with. Nobody loses a place to a source that would then hold more. So, while there are more places
    /// than sources, a source keeps its only connection.
    fn heavier_than(&self, held: usize, now: Instant) -> Option<ConnectionId> {
        let heaviest_first =
            || self.by_weight.range(held + 2..).rev().filter_map(|(_, oldest)| oldest.first());
        let equal_afterwards = || self.by_weight.get(&(held + 1)).and_then(BTreeSet::first);
        heaviest_first()
            .find(|id| self.has_had_its_time(id, now))
            .or_else(|| heaviest_first().next())
            .or_else(|| equal_afterwards().filter(|id| self.has_had_its_time(id, now)))
            .copied()
    }

    fn has_had_its_time(&self, id: &ConnectionId, now: Instant) -> bool {
        self.connections.get(id).is_some_and(|connection| connection.has_had_its_time(now))
    }

    /// Gives a connection its place, for which there must be [`Self::room`].
    pub(super) fn insert(&mut self, id: ConnectionId, connection: Connection) {
        self.connections.insert(id, connection);
        self.reweigh(connection.source, |ids| ids.insert(id));
    }

    /// Takes the place of a connection away; `None` if it has none.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.reweigh(connection.source, |ids| ids.remove(&id));
        Some(connection)
    }

    fn reweigh(&mut self, source: Source, change: impl FnOnce(&mut BTreeSet<ConnectionId>) -> bool) {
        let ids = self.by_source.entry(source).or_default();
        if let Some(oldest) = ids.first()
            && let Some(equals) = self.by_weight.get_mut(&ids.len())
        {
            equals.remove(oldest);
            if equals.is_empty() {
                self.by_weight.remove(&ids.len());
            }
        }
        change(ids);
        match ids.first() {
            Some(oldest) => {
                self.by_weight.entry(ids.len()).or_default().insert(*oldest);
            }
            None => {
                self.by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
impl Unauthenticated {
    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Panics unless the indices say what the connections say.
    pub(super) fn check(&self) {
        let mut by_source: HashMap<_, BTreeSet<_>> = HashMap::new();
        for (id, connection) in &self.connections {
            by_source.entry(connection.source).or_default().insert(*id);
        }
        let mut by_weight: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for ids in by_source.values() {
            by_weight.entry(ids.len()).or_default().extend(ids.first());
        }
        assert_eq!((&self.by_source, &self.by_weight), (&by_source, &by_weight));
    }
}
