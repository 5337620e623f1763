//! Pictures of networks: exact texts, a stable order, escaping, and no panic whatever is drawn.

use proptest::prelude::*;
use tributary::{Draft, DrawingFormat, Network, Result, pipeline, sink, source};

fn source(draft: &mut Draft, name: &str) -> Result<()> {
    let nothing: [&str; 0] = [];
    draft.add_source(name, source::from_iter(nothing)).map(drop)
}

fn pipeline(draft: &mut Draft, name: &str) -> Result<()> {
    let all = pipeline::interceptor(|_| Ok(true));
    draft.add_pipeline(name, all).map(drop)
}

fn sink(draft: &mut Draft, name: &str) -> Result<()> {
    draft.add_sink(name, sink::handler(|_| Ok(()))).map(drop)
}

/// The first network of the guide.
fn ticks() -> Result<Network> {
    let network = Network::new();
    network.change(|draft| {
        sink(draft, "tick_printer")?;
        source(draft, "ticker_500ms")?;
        pipeline(draft, "filter_2s")?;
        pipeline(draft, "forwarder1")?;
        pipeline(draft, "forwarder2")?;
        draft.link("ticker_500ms", "forwarder1")?;
        draft.fanout("forwarder1", ["filter_2s", "forwarder2"])?;
        draft.fanin("tick_printer", ["filter_2s", "forwarder2"])
    })?;
    Ok(network)
}

/// One node of each kind, none linked.
fn unlinked() -> Result<Network> {
    let network = Network::new();
    network.change(|draft| {
        source(draft, "ticker")?;
        pipeline(draft, "filter")?;
        sink(draft, "printer")
    })?;
    Ok(network)
}

/// Work shared by this key.
fn balanced(key: Option<&str>) -> Result<Network> {
    let network = Network::new();
    network.change(|draft| {
        source(draft, "in")?;
        sink(draft, "left")?;
        sink(draft, "right")?;
        draft.balance("in", ["left", "right"], key)
    })?;
    Ok(network)
}

/// All texts of an SVG, which must be well-formed.
fn svg_texts(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).expect("well-formed XML");
    let texts = document.descendants().filter(|node| node.is_text());
    let texts = texts.filter_map(|node| node.text().map(str::to_owned));
    texts.collect()
}

#[test]
fn a_linked_network_as_dot() -> Result<()> {
    assert_eq!(
        ticks()?.draw(DrawingFormat::Dot),
        r#"digraph network {
  rankdir=LR;
  node[shape=box style=rounded];
  "tick_printer"[style=solid peripheries=2];
  "ticker_500ms"[shape=oval];
  "filter_2s";
  "forwarder1";
  "forwarder2";
  "ticker_500ms" -> "forwarder1";
  "forwarder1" -> "filter_2s";
  "forwarder1" -> "forwarder2";
  "filter_2s" -> "tick_printer";
  "forwarder2" -> "tick_printer";
}
"#
    );
    Ok(())
}

#[test]
fn a_linked_network_as_mermaid() -> Result<()> {
    assert_eq!(
        ticks()?.draw(DrawingFormat::Mermaid),
        r#"flowchart LR
  n0[["tick_printer"]]
  n1(["ticker_500ms"])
  n2("filter_2s")
  n3("forwarder1")
  n4("forwarder2")
  n1 --> n3
  n3 --> n2
  n3 --> n4
  n2 --> n0
  n4 --> n0
"#
    );
    Ok(())
}

#[test]
fn each_open_end_is_an_underscore_of_its_own() -> Result<()> {
    let network = unlinked()?;
    assert_eq!(
        network.draw(DrawingFormat::Dot),
        r#"digraph network {
  rankdir=LR;
  node[shape=box style=rounded];
  "ticker"[shape=oval];
  "filter";
  "printer"[style=solid peripheries=2];
  "_.ticker"[label="_" shape=plaintext];
  "filter._"[label="_" shape=plaintext];
  "_.filter"[label="_" shape=plaintext];
  "printer._"[label="_" shape=plaintext];
  "ticker" -> "_.ticker";
  "filter._" -> "filter";
  "filter" -> "_.filter";
  "printer._" -> "printer";
}
"#
    );
    assert_eq!(
        network.draw(DrawingFormat::Mermaid),
        r#"flowchart LR
  n0(["ticker"])
  n1("filter")
  n2[["printer"]]
  n3["_"]
  n4["_"]
  n5["_"]
  n6["_"]
  n0 --> n3
  n4 --> n1
  n1 --> n5
  n6 --> n2
  style n3 fill:none,stroke:none
  style n4 fill:none,stroke:none
  style n5 fill:none,stroke:none
  style n6 fill:none,stroke:none
"#
    );
    let texts = svg_texts(&network.draw(DrawingFormat::Svg));
    assert_eq!(texts.iter().filter(|text| *text == "_").count(), 4);
    Ok(())
}

#[test]
fn links_are_labelled_with_their_port_and_how_they_share() -> Result<()> {
    let network = balanced(Some("customer"))?;
    network.change(|draft| {
        sink(draft, "log")?;
        draft.link("in.errors", "log")?;
        draft.link("in.dropped", "log")
    })?;
    let dot = network.draw(DrawingFormat::Dot);
    assert!(dot.contains(r#""in" -> "right" [label="balance by customer"];"#));
    assert!(dot.contains(r#""in" -> "log" [label="errors"];"#));
    let mermaid = network.draw(DrawingFormat::Mermaid);
    assert!(mermaid.contains(r#"n0 -->|"balance by customer"| n2"#));
    assert!(mermaid.contains(r#"n0 -->|"dropped"| n3"#));
    let texts = svg_texts(&network.draw(DrawingFormat::Svg));
    for label in ["balance by customer", "errors + dropped"] {
        assert!(texts.iter().any(|text| text == label), "{label}");
    }
    let dot = balanced(None)?.draw(DrawingFormat::Dot);
    assert!(dot.contains(r#""in" -> "left" [label="balance"];"#));
    Ok(())
}

#[test]
fn fault_27_names_are_escaped_and_the_order_is_stable() -> Result<()> {
    for format in DrawingFormat::ALL {
        let first = ticks()?.draw(format);
        for _ in 0..10 {
            assert_eq!(ticks()?.draw(format), first);
        }
    }

    // Words and signs that the formats take for their own.
    let names = ["digraph", "node", "end", "a--b", "x-", "_-", "style"];
    let network = Network::new();
    network.change(|draft| names.iter().try_for_each(|name| pipeline(draft, name)))?;
    network.change(|draft| {
        let pairs = names.windows(2);
        pairs.into_iter().try_for_each(|n| draft.link(n[0], n[1]))
    })?;
    let dot = network.draw(DrawingFormat::Dot);
    graphviz_rust::parse(&dot).expect("DOT");
    assert!(dot.contains(r#""node" -> "end";"#));
    assert!(network.draw(DrawingFormat::Mermaid).contains("n1 --> n2\n"));

    // A key is any text.
    let network = balanced(Some("a\"b\\c\n<d>&e;\u{1}\u{ffff}`#"))?;
    let dot = network.draw(DrawingFormat::Dot);
    graphviz_rust::parse(&dot).expect("DOT");
    let label = r#"[label="balance by a\"b\\c\\n<d>&amp;e;\\u{1}\\u{ffff}`#"];"#;
    assert!(dot.contains(label), "{dot}");
    let mermaid = network.draw(DrawingFormat::Mermaid);
    let label = "|\"balance by a#34;b#92;c#92;n#60;d#62;#38;e;#92;u{1}#92;u{ffff}#96;#35;\"|";
    assert!(mermaid.contains(label), "{mermaid}");
    let texts = svg_texts(&network.draw(DrawingFormat::Svg));
    let label = r#"balance by a"b\c\n<d>&e;\u{1}\u{ffff}`#"#;
    assert!(texts.iter().any(|text| text == label), "{texts:?}");
    Ok(())
}

#[test]
fn the_longest_name_is_shortened_in_its_box_and_whole_in_its_title() -> Result<()> {
    let name = "n".repeat(128);
    let network = Network::new();
    network.change(|draft| pipeline(draft, &name))?;
    let texts = svg_texts(&network.draw(DrawingFormat::Svg));
    assert!(texts.contains(&format!("pipeline {name}")));
    assert!(texts.contains(&format!("{}…{}", "n".repeat(20), "n".repeat(19))));
    assert!(network.draw(DrawingFormat::Dot).contains(&name));
    Ok(())
}

#[test]
fn an_empty_network_is_an_empty_picture() {
    let network = Network::new();
    graphviz_rust::parse(&network.draw(DrawingFormat::Dot)).expect("DOT");
    assert_eq!(network.draw(DrawingFormat::Mermaid), "flowchart LR\n");
    let texts = svg_texts(&network.draw(DrawingFormat::Svg));
    assert_eq!(texts[1], "A network of 0 nodes and 0 links");
}

#[test]
fn an_unknown_format_is_refused_with_a_suggestion() {
    let message = |text: &str| {
        text.parse::<DrawingFormat>()
            .expect_err("unknown")
            .to_string()
    };
    assert_eq!(message("dott"), "no format \"dott\"; did you mean \"dot\"?");
    assert_eq!(
        message("postscript"),
        "no format \"postscript\"; the formats are dot, mermaid, svg"
    );
    for format in DrawingFormat::ALL {
        assert_eq!(
            format.to_string().parse::<DrawingFormat>().expect("known"),
            format
        );
    }
}

/// The boxes of an SVG as left, right, top and bottom.
fn boxes(svg: &str) -> Vec<[f64; 4]> {
    let document = roxmltree::Document::parse(svg).expect("well-formed XML");
    let rects = document
        .descendants()
        .filter(|node| node.has_tag_name("rect") && node.attribute("class") != Some("chip"));
    let bounds = rects.map(|rect| {
        let number = |key| rect.attribute(key).and_then(|n| n.parse().ok());
        let [x, y, width, height]: [f64; 4] =
            ["x", "y", "width", "height"].map(|key| number(key).expect("a number"));
        [x, x + width, y, y + height]
    });
    bounds.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_network_is_drawn_in_every_format(
        kinds in prop::collection::vec(0..3u8, 0..30),
        links in prop::collection::vec((0..30usize, 0..30usize, 0..4u8), 0..60),
    ) {
        let network = Network::new();
        let name = |at: usize| format!("node-{at}");
        network.change(|draft| kinds.iter().enumerate().try_for_each(|(at, kind)| match kind {
            0 => source(draft, &name(at)),
            1 => pipeline(draft, &name(at)),
            _ => sink(draft, &name(at)),
        }))?;
        for (from, to, port) in links {
            let port = ["", ".out", ".errors", ".dropped"][usize::from(port)];
            // Those that make no sense are refused; the others make any graph without a cycle.
            let _ = network.link(format!("{}{port}", name(from)).as_str(), name(to).as_str());
        }

        let dot = network.draw(DrawingFormat::Dot);
        prop_assert!(graphviz_rust::parse(&dot).is_ok(), "{}", dot);
        let mermaid = network.draw(DrawingFormat::Mermaid);
        let svg = network.draw(DrawingFormat::Svg);
        let texts = svg_texts(&svg);
        for node in network.nodes() {
            let name = node.name.as_str();
            let quoted = format!("\"{name}\"");
            prop_assert!(dot.contains(&quoted));
            prop_assert!(mermaid.contains(&quoted));
            prop_assert!(texts.iter().any(|text| text == name));
        }
        prop_assert_eq!(mermaid.matches("-->").count(), dot.matches("->").count());

        let boxes = boxes(&svg);
        for (at, a) in boxes.iter().enumerate() {
            for b in &boxes[at + 1..] {
                let apart = a[1] <= b[0] || b[1] <= a[0] || a[3] <= b[2] || b[3] <= a[2];
                prop_assert!(apart, "{:?} {:?}", a, b);
            }
        }
    }
}
