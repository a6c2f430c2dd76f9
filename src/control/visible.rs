//! What others say, in lines of ours: nobody's text may steer the terminal that shows the log, or look like a line that it is not.

/// Appends `line`, control characters except the tab as `\xhh`.
pub fn append(line: &str, out: &mut Vec<u8>) {
    let mut start = 0;
    for (at, character) in line.char_indices() {
        if character.is_control() && character != '\t' {
            out.extend_from_slice(&line.as_bytes()[start..at]);
            out.extend_from_slice(format!("\\x{:02x}", character as u32).as_bytes());
            start = at + character.len_utf8();
        }
    }
    out.extend_from_slice(&line.as_bytes()[start..]);
}
