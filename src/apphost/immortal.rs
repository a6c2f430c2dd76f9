//! What the zygote has imported is made immortal before it forks (PEP 683): workers that use it write no reference counts, so its pages stay shared.
//!
//! An immortal object is never freed in a worker. What could be noticed to live on stays mortal, together with what holds it: an object with a
//! finalizer, one that is weakly referenced, and anything of a type that is not known here (files, sockets, generators, objects of extension
//! modules). Modules and classes are for good anyway, whatever they hold: what is taken out of them is released as ever.

use crate::ffi::{self, Object, Python, Result, TypeId};
use std::collections::HashMap;
use std::ffi::CStr;

/// Types that can be noticed in no way to live on; what they hold decides.
const TRANSPARENT: &CStr = c"(
    (type(None), type(...), type(NotImplemented), str, bytes, int, float, complex, bool, tuple, list, dict, set, frozenset, range, slice, property, staticmethod, classmethod,
        object, super)
    + tuple(getattr(__import__('types'), name) for name in '''
        FunctionType CodeType CellType MethodType BuiltinFunctionType MethodDescriptorType WrapperDescriptorType GetSetDescriptorType
        MemberDescriptorType ClassMethodDescriptorType MethodWrapperType MappingProxyType GenericAlias UnionType SimpleNamespace
        '''.split())
    + tuple(getattr(__import__('collections'), name) for name in ('OrderedDict', 'defaultdict', 'deque', '_tuplegetter'))
    + (__import__('re').Pattern, __import__('functools').partial, __import__('operator').attrgetter, __import__('operator').itemgetter)
    + (__import__('_thread').LockType, __import__('_thread').RLock)
)";

/// What a code object holds: it takes no part in cyclic collection, which the search goes by.
const CODE_PARTS: [&CStr; 7] = [
    c"co_consts",
    c"co_names",
    c"co_name",
    c"co_qualname",
    c"co_filename",
    c"co_linetable",
    c"co_exceptiontable",
];

/// What follows from an object's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// For good, whatever it holds: modules and classes.
    Lasting,
    /// As mortal as what it holds.
    Transparent,
    Unknown,
}

/// Objects and who holds them.
#[derive(Default)]
struct Graph {
    objects: Vec<Object>,
    places: HashMap<usize, u32>,
    natures: Vec<Nature>,
    /// Holder and held.
    edges: Vec<(u32, u32)>,
}

impl Graph {
    fn place(&mut self, object: Object) -> u32 {
        let next = self.objects.len() as u32;
        let place = *self.places.entry(object.address()).or_insert(next);
        if place == next {
            self.objects.push(object);
            self.natures.push(Nature::Unknown);
        }
        place
    }

    /// Those that may be immortal: neither of an unknown nature nor holding such.
    fn safe(&self) -> Vec<bool> {
        let count = self.objects.len();
        // The holders of each, side by side in one list.
        let mut ends = vec![0_usize; count + 1];
        for (_, held) in &self.edges {
            ends[*held as usize + 1] += 1;
        }
        for at in 0..count {
            ends[at + 1] += ends[at];
        }
        let begins = ends.clone();
        let mut holders = vec![0_u32; self.edges.len()];
        for (holder, held) in &self.edges {
            let end = &mut ends[*held as usize];
            holders[*end] = *holder;
            *end += 1;
        }
        let mut safe: Vec<bool> = self.natures.iter().map(|n| *n != Nature::Unknown).collect();
        let mut unsafe_ones: Vec<usize> = (0..count).filter(|at| !safe[*at]).collect();
        while let Some(at) = unsafe_ones.pop() {
            for holder in &holders[begins[at]..begins[at + 1]] {
                let holder = *holder as usize;
                if self.natures[holder] == Nature::Transparent && safe[holder] {
                    safe[holder] = false;
                    unsafe_ones.push(holder);
                }
            }
        }
        safe
    }
}

struct Search<'p> {
    py: Python<'p>,
    transparent: Vec<TypeId>,
    code: TypeId,
    /// A class of Python's making.
    sample: Object,
    known: HashMap<TypeId, Nature>,
    referents: Object,
    weak_count: Object,
    class_dict: Object,
}

impl<'p> Search<'p> {
    fn new(py: Python<'p>) -> Result<Search<'p>> {
        let types = py.run_expression(TRANSPARENT)?;
        let transparent = (0..types.tuple_len().unwrap_or(0))
            .map(|at| Ok(types.item(at)?.as_type()))
            .collect::<Result<Vec<TypeId>>>()?;
        Ok(Search {
            py,
            transparent,
            code: py.import(c"types")?.member(c"CodeType")?.as_type(),
            sample: py.run_expression(c"type('Sample', (), {})")?,
            known: HashMap::new(),
            referents: py.import(c"gc")?.member(c"get_referents")?,
            weak_count: py.import(c"_weakref")?.member(c"getweakrefcount")?,
            class_dict: py.run_expression(c"type.__dict__['__dict__'].__get__")?,
        })
    }

    fn nature(&mut self, object: &Object) -> Result<Nature> {
        if object.is_class() || object.is_module() {
            return Ok(Nature::Lasting);
        }
        let kind = object.type_id();
        let nature = match self.known.get(&kind) {
            Some(nature) => *nature,
            None => {
                let plain = self.transparent.contains(&kind)
                    || ffi::is_plain_class(kind, self.sample.as_type(), &self.transparent);
                let nature = match plain {
                    true => Nature::Transparent,
                    false => Nature::Unknown,
                };
                self.known.insert(kind, nature);
                nature
            }
        };
        if nature == Nature::Transparent && self.weak_count.call_with(&[object])?.to_isize()? > 0 {
            return Ok(Nature::Unknown);
        }
        Ok(nature)
    }

    /// Everything that can be reached from what cyclic collection knows.
    fn run(&mut self) -> Result<Graph> {
        let mut graph = Graph::default();
        let roots = self.py.import(c"gc")?.call_member(c"get_objects", &[])?;
        for at in 0..roots.list_len().unwrap_or(0) {
            graph.place(roots.item(at)?);
        }
        // Our own, and about to go.
        let own = roots.address();
        drop(roots);
        let mut at = 0;
        while at < graph.objects.len() {
            let object = graph.objects[at].clone();
            let mut nature = self.nature(&object)?;
            if object.address() == own {
                nature = Nature::Unknown;
            }
            graph.natures[at] = nature;
            let holder = at as u32;
            let held = self.referents.call_with(&[&object])?;
            for index in 0..held.list_len().unwrap_or(0) {
                let place = graph.place(held.item(index)?);
                graph.edges.push((holder, place));
            }
            if object.type_id() == self.code {
                for part in CODE_PARTS {
                    if let Ok(part) = object.member(part) {
                        let place = graph.place(part);
                        graph.edges.push((holder, place));
                    }
                }
            }
            at += 1;
        }
        // Last, since a dictionary may be met before its owner.
        for at in 0..graph.objects.len() {
            let object = graph.objects[at].clone();
            let dict = if object.is_class() {
                let view = self.class_dict.call_with(&[&object])?;
                self.referents.call_with(&[&view])?.item(0).ok()
            } else if object.is_module() {
                object.member(c"__dict__").ok()
            } else {
                None
            };
            if let Some(place) = dict.and_then(|dict| graph.places.get(&dict.address()).copied()) {
                graph.natures[place as usize] = Nature::Lasting;
            }
        }
        Ok(graph)
    }
}

/// Makes what this process has imported immortal where that cannot be noticed, if this Python allows for it. To be called right before forks.
pub fn keep(py: Python<'_>) -> Result<()> {
    if !ffi::can_be_immortal(py)? {
        return Ok(());
    }
    let gc = py.import(c"gc")?;
    gc.call_member(c"unfreeze", &[])?;
    let graph = Search::new(py)?.run()?;
    for (object, safe) in graph.objects.iter().zip(graph.safe()) {
        if safe {
            object.make_immortal();
        }
    }
    drop(graph);
    gc.call_member(c"freeze", &[]).map(drop)
}
