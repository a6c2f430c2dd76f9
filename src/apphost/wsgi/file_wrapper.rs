//! `wsgi.file_wrapper` (W36-W41): an iterable over a file that the gateway recognises and sends by its descriptor where it can.
//!
//! It has `close()` if, and only if, the file has: hence two classes.

use crate::ffi::{
    Arguments, Class, Item, Iterate, Kind, Method, MethodEntry, Object, Python, Raised, Result,
    Slot, Type, methods,
};
use std::ffi::CStr;

/// Default block size in bytes, when the file must be read.
const BLOCK_BYTES: isize = 8192;

pub struct Wrapper<const CLOSES: bool> {
    file: Object,
    block_bytes: Object,
}

impl<const CLOSES: bool> Wrapper<CLOSES> {
    pub fn file(&self) -> &Object {
        &self.file
    }

    /// The next block, `None` at the end of the file.
    fn read(&self) -> Result<Option<Object>> {
        let block = self.file.call_member(c"read", &[&self.block_bytes])?;
        Ok(if block.is_true()? { Some(block) } else { None })
    }
}

impl Class for Wrapper<true> {
    const NAME: &'static CStr = c"_ringgate.ClosingFileWrapper";
    const DOC: &'static CStr = c"An iterable over a file (PEP 3333, wsgi.file_wrapper).";
    const METHODS: &'static [MethodEntry] = &[methods::entry::<Close>(), methods::END];

    fn slots() -> Vec<Slot<Self>> {
        slots()
    }
}

impl Class for Wrapper<false> {
    const NAME: &'static CStr = c"_ringgate.FileWrapper";
    const DOC: &'static CStr =
        c"An iterable over a file that has no close() (PEP 3333, wsgi.file_wrapper).";
    const METHODS: &'static [MethodEntry] = &[methods::END];

    fn slots() -> Vec<Slot<Self>> {
        slots()
    }
}

fn slots<const CLOSES: bool>() -> Vec<Slot<Wrapper<CLOSES>>>
where
    Wrapper<CLOSES>: Class,
{
    let mut slots: Vec<_> = Slot::iterator().into();
    slots.push(Slot::item());
    slots
}

impl<const CLOSES: bool> Iterate for Wrapper<CLOSES>
where
    Wrapper<CLOSES>: Class,
{
    fn next(_py: Python<'_>, this: &Self) -> Result<Option<Object>> {
        this.read()
    }
}

/// For middleware older than iterators: block after block, whatever the index.
impl<const CLOSES: bool> Item for Wrapper<CLOSES>
where
    Wrapper<CLOSES>: Class,
{
    fn item(py: Python<'_>, this: &Self, _index: isize) -> Result<Object> {
        this.read()?
            .ok_or_else(|| Raised::new(py, Kind::IndexError, "the end of the file"))
    }
}

struct Close;
impl Method for Close {
    type Class = Wrapper<true>;
    const NAME: &'static CStr = c"close";
    const DOC: &'static CStr = c"close(): closes the file.";

    fn call(py: Python<'_>, this: &Wrapper<true>, arguments: Arguments<'_>) -> Result<Object> {
        arguments.between(py, "close", 0, 0)?;
        this.file.call_member(c"close", &[])
    }
}

/// Makes wrappers; `wsgi.file_wrapper` is its method.
pub struct Factory {
    plain: Type<Wrapper<false>>,
    closing: Type<Wrapper<true>>,
}

impl Factory {
    pub fn new(py: Python<'_>) -> Result<Factory> {
        Ok(Factory {
            plain: Type::new(py)?,
            closing: Type::new(py)?,
        })
    }

    /// The file in `object`, if that is a wrapper of ours.
    #[inline]
    pub fn file_in<'a>(&self, object: &'a Object) -> Option<&'a Object> {
        match self.closing.cast(object) {
            Some(wrapper) => Some(wrapper.file()),
            None => self.plain.cast(object).map(Wrapper::file),
        }
    }
}

impl Class for Factory {
    const NAME: &'static CStr = c"_ringgate.FileWrappers";
    const DOC: &'static CStr = c"Makes file wrappers.";
    const METHODS: &'static [MethodEntry] = &[methods::entry::<Wrap>(), methods::END];
}

pub struct Wrap;
impl Method for Wrap {
    type Class = Factory;
    const NAME: &'static CStr = c"file_wrapper";
    const DOC: &'static CStr =
        c"file_wrapper(filelike, blksize=8192): an iterable to return from an application.";

    fn call(py: Python<'_>, this: &Factory, arguments: Arguments<'_>) -> Result<Object> {
        let [file, block] = arguments.named(py, "file_wrapper", ["filelike", "blksize"], 1)?;
        let Some(file) = file else {
            return Err(Raised::new(
                py,
                Kind::TypeError,
                "file_wrapper() needs a file",
            ));
        };
        let block_bytes = match block {
            Some(block) => block.clone(),
            None => py.integer(BLOCK_BYTES as i64)?,
        };
        let closes = file.optional_attribute(&py.interned(c"close")?)?.is_some();
        let file = file.clone();
        if closes {
            this.closing
                .instance(Wrapper { file, block_bytes })
                .map(crate::ffi::Instance::into_object)
        } else {
            this.plain
                .instance(Wrapper { file, block_bytes })
                .map(crate::ffi::Instance::into_object)
        }
    }
}
