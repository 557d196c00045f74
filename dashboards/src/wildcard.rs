//! Wildcards in plates: `*` for any characters, `?` for exactly one. Without either, a part is
//! enough. The same pattern means the same in a search and on the watch-list.

use portgate_core::plate::normalise;

/// Longest pattern.
pub const PATTERN_CHARS_MAX: usize = 24;

/// The pattern as it is compared: normalised, wildcards kept; a plain part may stand anywhere.
pub fn pattern(text: &str) -> String {
    let text = text.replace('＊', "*").replace('？', "?");
    let mut out = String::new();
    let mut part = String::new();
    for c in text.chars().chain(['\0']) {
        if matches!(c, '*' | '?' | '\0') {
            out.push_str(&normalise(&part));
            part.clear();
            if c != '\0' {
                out.push(c);
            }
        } else {
            part.push(c);
        }
    }
    out.retain(|c| c.is_alphanumeric() || matches!(c, '*' | '?'));
    if out.contains(['*', '?']) {
        out
    } else {
        format!("*{out}*")
    }
}

/// Whether the text fits the pattern, from its first to its last character.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut i, mut j) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while j < t.len() {
        match p.get(i) {
            Some('*') => {
                retry = Some((i + 1, j));
                i += 1;
            }
            Some(c) if *c == '?' || t.get(j) == Some(c) => {
                i += 1;
                j += 1;
            }
            _ => match retry.as_mut() {
                Some((after, from)) => {
                    *from += 1;
                    i = *after;
                    j = *from;
                }
                None => return false,
            },
        }
    }
    p.iter().skip(i).all(|c| *c == '*')
}

/// The pattern for `LIKE`; plates hold none of its special characters.
pub fn like(pattern: &str) -> String {
    pattern.replace('*', "%").replace('?', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (typed, plate, fits) in [
            ("苏g·123", "苏G12345", true),
            ("345", "苏G12345", true),
            ("苏G12345", "苏G12345", true),
            ("苏G*5", "苏G12345", true),
            ("苏G*4", "苏G12345", false),
            ("苏？12345", "苏G12345", true),
            ("苏?1234", "苏G12345", false),
            ("*", "", true),
            ("??", "苏", false),
            ("a*b*c", "AXBYBZC", true),
        ] {
            assert_eq!(matches(&pattern(typed), plate), fits, "{typed} {plate}");
        }
        assert_eq!(pattern("%'; DROP_"), "*DROP*");
        assert_eq!(like(&pattern("苏?1*")), "苏_1%");
    }
}
