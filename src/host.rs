//! The host and the port of an address, and its encoding.

/// Splits `host`, `host:port`, `[host]` or `[host]:port`; an IPv6 address stands in brackets.
///
/// # Errors
/// What is wrong with the text, to be shown after the address.
pub(crate) fn split_host(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    let Some(bracketed) = text.strip_prefix('[') else {
        return Ok(match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        });
    };
    match bracketed.split_once(']') {
        Some((host, "")) => Ok((host, None)),
        Some((host, rest)) => Ok((host, Some(rest.strip_prefix(':').ok_or("bad port")?))),
        None => Err("bad host"),
    }
}

/// `%40` and the like, decoded.
///
/// # Errors
/// What is wrong with the text, to be shown after the address.
pub(crate) fn decoded(text: &str) -> Result<String, &'static str> {
    let bad = "a % is not followed by two hexadecimal digits; write it as %25";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or(bad)?;
        let value = |digit: u8| (digit as char).to_digit(16).ok_or(bad);
        bytes.push((value(digits[0])? * 16 + value(digits[1])?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 when decoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_comes_with_its_port_and_without_its_brackets() {
        for (text, split) in [
            ("h", Ok(("h", None))),
            ("h:80", Ok(("h", Some("80")))),
            ("[::1]", Ok(("::1", None))),
            ("[::1]:80", Ok(("::1", Some("80")))),
            ("[::1]80", Err("bad port")),
            ("[::1", Err("bad host")),
            ("", Ok(("", None))),
        ] {
            assert_eq!(split_host(text), split, "{text}");
        }
    }

    #[test]
    fn a_percent_sign_is_followed_by_two_hexadecimal_digits() {
        assert_eq!(decoded("a%40b%C3%a9+"), Ok("a@bé+".to_owned()));
        for text in ["%", "%4", "%4g", "%+1", "%é"] {
            assert!(
                decoded(text).is_err_and(|why| why.contains("%25")),
                "{text}"
            );
        }
        assert!(decoded("%ff").is_err_and(|why| why.contains("UTF-8")));
    }
}
