//! Messages of Protocol Buffers, by the text of their `.proto` file.

use super::{Document, Invalid, MAX_DEPTH, Violation, bytes_or_text, push_pointer};
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _, Value as Field,
    prost::Message as _,
};
use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};
use std::collections::HashMap;
use tremor_value::{Value, json};

/// The name of the file that is asked for.
const FILE: &str = "schema.proto";
/// How deep brackets in a file may nest.
const MAX_FILE_DEPTH: usize = 64;
/// Numbers in the path to a message type.
const MAX_INDEXES: usize = 32;

/// A message type.
#[derive(Debug)]
pub struct Protobuf {
    message: MessageDescriptor,
    /// The message types of the file, by path.
    pool: DescriptorPool,
    /// Whether the configuration says which type it is: then no message may say another.
    is_fixed: bool,
    view: bool,
    indexes: bool,
}

/// The files at hand.
struct Files(HashMap<String, String>);

impl FileResolver for Files {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let text = self.0.get(name).ok_or_else(|| Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

impl Protobuf {
    pub(super) fn compile(
        document: &Document,
        record: Option<&str>,
        view: bool,
        indexes: bool,
    ) -> Result<Self, String> {
        let mut files: HashMap<_, _> = document.references.iter().cloned().collect();
        files.insert(FILE.to_owned(), document.text.clone());
        if files.values().any(|text| nests_too_deep(text)) {
            return Err(format!("its brackets nest deeper than {MAX_FILE_DEPTH} levels"));
        }
        let mut resolver = ChainFileResolver::new();
        resolver.add(Files(files));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        // Told so, it says the line and the column.
        compiler.include_imports(true).open_file(FILE).map_err(|error| format!("{error:?}"))?;
        let pool = compiler.descriptor_pool();
        let file = pool.get_file_by_name(FILE).ok_or("it could not be read")?;
        let message = match record {
            Some(name) => {
                let full = match file.package_name() {
                    "" => name.to_owned(),
                    package => format!("{package}.{name}"),
                };
                let found = pool.get_message_by_name(name).or_else(|| pool.get_message_by_name(&full));
                found.ok_or_else(|| format!("it has no message type `{name}`"))?
            }
            None => file.messages().next().ok_or("it has no message type")?,
        };
        Ok(Self { message, pool, is_fixed: record.is_some(), view, indexes })
    }

    pub(super) fn incoming(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, Invalid> {
        let (message, rest) = self.read(payload)?;
        if !self.view {
            // The path belongs to the id in front of it, which is taken off, too.
            return Ok(self.indexes.then(|| rest.to_vec()));
        }
        serde_json::to_vec(&message)
            .map(Some)
            .map_err(|error| Invalid::unreadable(payload, Violation::new("", "view", error.to_string())))
    }

    pub(super) fn outgoing(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, Invalid> {
        if !self.view {
            // The path, if there is one, belongs to the id in front of it, which is added here.
            let message = self.decode(&self.message, payload)?;
            self.check(&message, payload)?;
            return Ok(self.indexes.then(|| [self.path().as_slice(), payload].concat()));
        }
        let mut text = serde_json::Deserializer::from_slice(payload);
        let unreadable = |error: serde_json::Error| {
            Invalid::unreadable(payload, Violation::new("", "view", error.to_string()))
        };
        let message = DynamicMessage::deserialize(self.message.clone(), &mut text).map_err(unreadable)?;
        text.end().map_err(unreadable)?;
        self.check(&message, payload)?;
        let mut out = if self.indexes { self.path() } else { Vec::new() };
        message
            .encode(&mut out)
            .map_err(|error| Invalid::unreadable(payload, Violation::new("", "length", error.to_string())))?;
        Ok(Some(out))
    }

    /// The message, and its bytes.
    fn read<'p>(&self, payload: &'p [u8]) -> Result<(DynamicMessage, &'p [u8]), Invalid> {
        let (descriptor, rest) =
            if self.indexes { self.by_path(payload)? } else { (self.message.clone(), payload) };
        let message = self.decode(&descriptor, rest)?;
        self.check(&message, payload)?;
        Ok((message, rest))
    }

    fn decode(&self, descriptor: &MessageDescriptor, payload: &[u8]) -> Result<DynamicMessage, Invalid> {
        DynamicMessage::decode(descriptor.clone(), payload)
            .map_err(|error| Invalid::unreadable(payload, Violation::new("", "protobuf", error.to_string())))
    }

    /// What must be there is.
    fn check(&self, message: &DynamicMessage, payload: &[u8]) -> Result<(), Invalid> {
        let mut pointer = String::new();
        match missing(message, &mut pointer, 0) {
            Some(violation) => {
                let text = serde_json::to_vec(message).ok();
                let value = text.and_then(|text| json::Parser::new().parse(&text).ok());
                let value: Value = value.unwrap_or_else(|| bytes_or_text(payload));
                Err(Invalid { violations: vec![violation], value })
            }
            None => Ok(()),
        }
    }

    /// The path to the message type, as registries write it.
    fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        let mut message = Some(self.message.clone());
        while let Some(at) = message {
            path.push(at.path().last().copied().unwrap_or_default());
            message = at.parent_message();
        }
        path.reverse();
        if path == [0] {
            return vec![0];
        }
        let mut out = Vec::new();
        write_zigzag(i64::try_from(path.len()).unwrap_or_default(), &mut out);
        path.into_iter().for_each(|index| write_zigzag(index.into(), &mut out));
        out
    }

    /// The message type that the path in front of a message names, and what is behind the path.
    fn by_path<'p>(&self, payload: &'p [u8]) -> Result<(MessageDescriptor, &'p [u8]), Invalid> {
        let wrong = |message: &str| Invalid::unreadable(payload, Violation::new("", "indexes", message));
        let mut rest = payload;
        let mut next =
            || read_zigzag(&mut rest).ok_or_else(|| wrong("the path to the message type ends too early"));
        let count = next()?;
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_INDEXES);
        let count = count.ok_or_else(|| wrong("the path to the message type is too long"))?;
        let mut path = Vec::with_capacity(count.max(1));
        for _ in 0..count {
            path.push(usize::try_from(next()?).map_err(|_| wrong("a number in the path is negative"))?);
        }
        if path.is_empty() {
            path.push(0);
        }
        let file = self.pool.get_file_by_name(FILE);
        let mut found: Option<MessageDescriptor> = None;
        for index in path {
            found = match found {
                None => file.as_ref().and_then(|file| file.messages().nth(index)),
                Some(message) => message.child_messages().nth(index),
            };
            if found.is_none() {
                break;
            }
        }
        let found = found.ok_or_else(|| wrong("the path leads to no message type"))?;
        if self.is_fixed && found != self.message {
            let message = format!("it is a `{}` and no `{}`", found.full_name(), self.message.full_name());
            return Err(wrong(&message));
        }
        Ok((found, rest))
    }
}

/// What is missing of what `proto2` demands.
fn missing(message: &DynamicMessage, pointer: &mut String, depth: usize) -> Option<Violation> {
    if depth > MAX_DEPTH {
        return Some(Violation::new(
            pointer.as_str(),
            "depth",
            format!("it nests deeper than {MAX_DEPTH} levels"),
        ));
    }
    let descriptor = message.descriptor();
    let required = descriptor.fields().filter(|field| field.cardinality() == Cardinality::Required);
    if let Some(field) = required.into_iter().find(|field| !message.has_field(field)) {
        let text = format!("the field `{}` is missing", field.name());
        return Some(Violation::new(pointer.as_str(), "required", text));
    }
    for (field, value) in message.fields() {
        let before = pointer.len();
        push_pointer(pointer, field.name());
        let found = match value {
            Field::Message(inner) => missing(inner, pointer, depth + 1),
            Field::List(items) => items.iter().enumerate().find_map(|(number, item)| {
                let inner = item.as_message()?;
                let before = pointer.len();
                push_pointer(pointer, &number.to_string());
                let found = missing(inner, pointer, depth + 1);
                pointer.truncate(before);
                found
            }),
            Field::Map(members) => {
                members.values().find_map(|member| missing(member.as_message()?, pointer, depth + 1))
            }
            _ => None,
        };
        pointer.truncate(before);
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Whether brackets nest so deep that reading them may take all of the stack. Those in texts count, too: no file has many.
fn nests_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' | b'(' | b'[' | b'<' => depth += 1,
            b'}' | b')' | b']' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_FILE_DEPTH {
            return true;
        }
    }
    false
}

fn write_zigzag(number: i64, out: &mut Vec<u8>) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left > 0x7f {
        out.push(u8::try_from(left & 0x7f).unwrap_or_default() | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap_or_default());
}

fn read_zigzag(rest: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    None
}
