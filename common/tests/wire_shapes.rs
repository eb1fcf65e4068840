//! The shapes of what is decoded from a peer, walked by a decoder that takes every turn: no type holds itself, and no item of
//! a list comes without a byte. So neither depth nor a count can cost more than the bytes that carry it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::time::{Duration, Instant};

use common::job::{ByteString, Program, Spec, Variable};
use common::limits;
use common::message::{self, AttachmentId, ClientMessage, Message, ServerMessage, Start};
use serde::de::value::Error;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

/// Types within types that a message may have.
const DEEPEST: usize = 8;

/// Bytes of an array: a digest.
const LONGEST_ARRAY: usize = 32;

/// How long anything may take to be read or refused: the best of some tries, as others use the machine, too.
const QUICK: Duration = Duration::from_millis(10);
const TRIES: usize = 5;

/// One way through a type: which variant of each enum that is met.
#[derive(Default)]
struct Walk {
    /// The turns to take, and behind them the first of each.
    turns: Vec<usize>,
    /// At each turn, how many there were.
    choices: Vec<usize>,
    /// The types around the place where we are.
    within: Vec<&'static str>,
    /// Bytes of values met.
    bytes: usize,
    deepest: usize,
}

impl Walk {
    fn enter(&mut self, name: &'static str) -> Result<(), Error> {
        if self.within.contains(&name) {
            return Err(Error::custom(format!("{name} holds itself, by way of {:?}", self.within)));
        }
        self.within.push(name);
        self.deepest = self.deepest.max(self.within.len());
        Ok(())
    }

    fn turn(&mut self, choices: usize) -> usize {
        let turn = self.turns.get(self.choices.len()).copied().unwrap_or_default();
        self.choices.push(choices);
        turn
    }

    /// The turns of the next way, once this one is done; `None` after the last.
    fn next(mut self) -> Option<Vec<usize>> {
        self.turns.resize(self.choices.len(), 0);
        while let (Some(turn), Some(choices)) = (self.turns.pop(), self.choices.pop()) {
            if turn + 1 < choices {
                self.turns.push(turn + 1);
                return Some(self.turns);
            }
        }
        None
    }
}

macro_rules! leaves {
    ($($method:ident $visit:ident $value:expr, $bytes:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.bytes += $bytes;
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Walk {
    type Error = Error;

    leaves! {
        deserialize_bool visit_bool true, 1;
        deserialize_u8 visit_u8 1, 1;
        deserialize_i8 visit_i8 1, 1;
        deserialize_u16 visit_u16 1, 2;
        deserialize_u32 visit_u32 1, 4;
        deserialize_u64 visit_u64 1, 8;
        deserialize_string visit_str "x", 8;
        deserialize_str visit_str "x", 8;
        deserialize_byte_buf visit_byte_buf vec![b'x'], 8;
        deserialize_bytes visit_bytes b"x", 8;
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("a type that has no place on the wire"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.bytes += 1;
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.enter(name)?;
        let value = visitor.visit_newtype_struct(&mut *self)?;
        self.within.pop();
        Ok(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.bytes += 8;
        let before = self.bytes;
        let value = visitor.visit_seq(Items { walk: self, left: 1 })?;
        if self.bytes == before {
            return Err(Error::custom("items of a list without a byte"));
        }
        Ok(value)
    }

    /// An array, whose length is its type's and not the peer's.
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        if len > LONGEST_ARRAY {
            return Err(Error::custom(format!("an array of {len}")));
        }
        let before = self.bytes;
        let value = visitor.visit_seq(Items { walk: self, left: len })?;
        if self.bytes - before != len {
            return Err(Error::custom("an array of something else than bytes"));
        }
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.enter(name)?;
        let value = visitor.visit_seq(Items { walk: self, left: fields.len() })?;
        self.within.pop();
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.enter(name)?;
        self.bytes += 4;
        let value = visitor.visit_enum(Turn { walk: self, variants: variants.len() })?;
        self.within.pop();
        Ok(value)
    }

    // Numbers of another width, floats, maps and the like are not part of the wire.
    forward_to_deserialize_any! {
        i16 i32 i64 u128 i128 f32 f64 char unit unit_struct tuple_struct map identifier ignored_any
    }
}

/// Fields of a value, or items of a list.
struct Items<'a> {
    walk: &'a mut Walk,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                seed.deserialize(&mut *self.walk).map(Some)
            }
            None => Ok(None),
        }
    }
}

/// An enum with so many variants.
struct Turn<'a> {
    walk: &'a mut Walk,
    variants: usize,
}

impl<'de, 'a> EnumAccess<'de> for Turn<'a> {
    type Error = Error;
    type Variant = &'a mut Walk;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, &'a mut Walk), Error> {
        let turn = self.walk.turn(self.variants) as u32;
        Ok((seed.deserialize(IntoDeserializer::<Error>::into_deserializer(turn))?, self.walk))
    }
}

impl<'de> VariantAccess<'de> for &mut Walk {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { walk: self, left: len })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { walk: self, left: fields.len() })
    }
}

/// Walks every way through a message; how many there are.
fn walk<M: Message>() -> usize {
    let mut turns = Vec::new();
    for ways in 1.. {
        let mut walk = Walk { turns, ..Walk::default() };
        if let Err(error) = M::deserialize(&mut walk) {
            panic!("{error}");
        }
        assert!(walk.deepest <= DEEPEST, "{} types within types", walk.deepest);
        match walk.next() {
            Some(next) => turns = next,
            None => return ways,
        }
    }
    0
}

#[test]
fn no_message_holds_itself_and_no_list_is_free() {
    let outcomes = 5 + 6 + 4;
    // An outcome: five that are none of the start, six failures of it, and a limit that cannot be kept, of four kinds.
    // Starts of three programs that are kept or not, with either extra or without; four roles, each from three positions; five
    // orders; and to leave, list, forget.
    assert_eq!(walk::<ClientMessage>(), (1 + 2) * (3 * 2) + 4 * 3 + 5 + 3);
    // Ends, each with memory counted in two ways; eight refusals; jobs that start, run, or are over; and a start, a goodbye, a
    // hold, an order carried out and one declined, one taken over, one that is done, what was skipped and written, and a
    // terminal.
    assert_eq!(walk::<ServerMessage>(), outcomes * 2 + 8 + (1 + 1 + outcomes) + 10);
}

#[test]
fn a_walker_sees_what_it_looks_for() {
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only its shape counts")]
    enum Deep {
        End,
        Again(Box<Self>),
    }
    #[derive(Debug, serde::Deserialize)]
    struct Nothing {}
    let mut deep = Walk { turns: vec![1, 1], ..Walk::default() };
    let error = <Deep as serde::Deserialize>::deserialize(&mut deep).unwrap_err();
    assert!(error.to_string().contains("holds itself"), "{error}");
    let free = <Vec<Nothing> as serde::Deserialize>::deserialize(&mut Walk::default()).unwrap_err();
    assert!(free.to_string().contains("without a byte"), "{free}");
    let long = <[u8; 32] as serde::Deserialize>::deserialize(&mut Walk::default());
    assert!(long.is_ok(), "{long:?}");
    let wide = <[u32; 4] as serde::Deserialize>::deserialize(&mut Walk::default()).unwrap_err();
    assert!(wide.to_string().contains("else than bytes"), "{wide}");
    let pair = <(u8, Vec<u8>) as serde::Deserialize>::deserialize(&mut Walk::default()).unwrap_err();
    assert!(pair.to_string().contains("else than bytes"), "{pair}");
}

/// Payloads as large as they get, of one pattern throughout: numbers of variants, lengths and flags one after the other.
fn patterns(limit: usize) -> Vec<Vec<u8>> {
    let numbers = (0..8_u32).map(|number| number.to_le_bytes().to_vec());
    let lengths = [0_u64, 1, 2, 4, 64, 1024, 4096, 1 << 31, 1 << 32, u64::MAX]
        .map(|number| number.to_le_bytes().to_vec());
    let bytes = [0, 1, 2, 4, 0x41, 0x7f, 0x80, 0xff].map(|byte| vec![byte]);
    let patterns: Vec<_> = numbers.chain(lengths).chain(bytes).collect();
    let repeated = |pattern: &Vec<u8>| pattern.iter().copied().cycle().take(limit).collect::<Vec<u8>>();
    let mut payloads: Vec<_> = patterns.iter().map(repeated).collect();
    for first in 0..13_u32 {
        payloads.extend(patterns.iter().map(|pattern| {
            let mut payload = repeated(pattern);
            payload[..4].copy_from_slice(&first.to_le_bytes());
            payload
        }));
    }
    payloads
}

fn is_quick(what: &str, work: impl Fn()) {
    let time = || {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    let best = (0..TRIES).map(|_| time()).min().unwrap();
    assert!(best < QUICK, "{best:?} for {what}");
}

#[test]
fn huge_and_repetitive_payloads_are_read_or_refused_at_once() {
    for payload in patterns(limits::REQUEST_PAYLOAD) {
        is_quick(&format!("{:02x?}…", &payload[..16]), || drop(message::decode::<ClientMessage>(&payload)));
    }
    for payload in patterns(limits::RESPONSE_PAYLOAD) {
        is_quick(&format!("{:02x?}…", &payload[..16]), || drop(message::decode::<ServerMessage>(&payload)));
    }
}

#[test]
fn a_start_with_as_many_parts_as_there_may_be_is_read_at_once() {
    let words = vec![ByteString(vec![b'x'; 40]); limits::ARGUMENTS];
    let variable = Variable { name: "A".into(), value: ByteString(vec![b'x'; 15]) };
    let spec = Spec { environment: vec![variable; limits::VARIABLES], ..Spec::new(Program::Argv(words)) };
    let start = Start::new("job1".parse().unwrap(), AttachmentId(1), spec).unwrap();
    let start = ClientMessage::Start(start);
    let payload = message::encode(&start).unwrap();
    assert!(payload.len() > limits::REQUEST_PAYLOAD * 3 / 4);
    is_quick("a large START", || assert_eq!(message::decode::<ClientMessage>(&payload).as_ref(), Ok(&start)));
}
