//! The host and the port of an address.

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
}
