//! Replays `tests/corpus/<target>/*` through fuzz functions, each file whole and cut short at every byte, and then mutated from a
//! fixed seed: what a fuzzer once found stays found. Shared by the crates that have such functions.

use std::path::{Path, PathBuf};

pub type Fuzz = fn(&[u8]);

/// Mutations per corpus file.
const MUTATIONS: usize = 300;

/// Every target with every file of its corpus.
pub fn replay(targets: &[(&str, Fuzz)]) {
    for (name, fuzz) in targets {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "no corpus for {name}");
        let mut random = 0x5eed;
        for (path, input) in &inputs {
            let run = |data: &[u8]| {
                let outcome = std::panic::catch_unwind(|| fuzz(data));
                assert!(
                    outcome.is_ok(),
                    "{name}: {} as \"{}\"",
                    path.display(),
                    data.escape_ascii()
                );
            };
            run(input);
            for end in 0..input.len().min(200) {
                run(&input[..end]);
            }
            for _ in 0..MUTATIONS {
                run(&mutate(input, &inputs, &mut random));
            }
        }
    }
}

/// A few random edits: flip, remove, repeat, insert a byte that matters, splice another input.
fn mutate(input: &[u8], others: &[(PathBuf, Vec<u8>)], random: &mut u64) -> Vec<u8> {
    const TELLING: &[u8] = b"\r\n\0 \t:;,=-/%.\"*#?\\0159afAFWq\x7f\x80\xff";
    let mut data = input.to_vec();
    for _ in 0..1 + below(random, 4) {
        let at = below(random, data.len() + 1);
        let telling = TELLING[below(random, TELLING.len())];
        match below(random, 6) {
            0 if at < data.len() => data[at] ^= 1 << below(random, 8),
            1 if at < data.len() => {
                data.remove(at);
            }
            2 if at < data.len() => data[at] = telling,
            3 => {
                let end = (at + below(random, 20)).min(data.len());
                let piece = data[at..end].to_vec();
                data.splice(at..at, piece);
            }
            4 => {
                let other = &others[below(random, others.len())].1;
                let start = below(random, other.len() + 1);
                data.splice(at..at, other[start..].iter().copied());
            }
            _ => data.insert(at, telling),
        }
    }
    data
}

/// SplitMix64, reduced to `0..bound`.
fn below(random: &mut u64, bound: usize) -> usize {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) % bound as u64) as usize
}

/// The files of one corpus, in order of name.
fn inputs(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/corpus")
        .join(name);
    let entries = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            (
                path.clone(),
                std::fs::read(&path).expect("a readable corpus file"),
            )
        })
        .collect()
}
