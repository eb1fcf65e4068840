//! Servers that lie about what they have.

use super::*;

/// A server whose `find` says this, `printf` making bytes of it.
fn lying(listing: &str) -> Sides {
    let listing = listing.to_owned();
    let sides = Sides::with_environment(move |sandbox| {
        let tools = sandbox.join("tools");
        fs::create_dir(&tools).unwrap();
        fs::write(tools.join("find"), format!("#!/bin/sh\nprintf '{listing}'\n")).unwrap();
        set_mode(&tools.join("find"), 0o755);
        format!("PATH={}:/usr/bin:/bin", tools.display())
    });
    fs::create_dir(sides.there.join("tree")).unwrap();
    sides
}

#[test]
fn a_server_that_lies_about_names_writes_nowhere_else() {
    let root = ".\\0\\00041ed 4096\\n";
    for (listing, said) in [
        (format!("{root}./../evil\\0\\00081a4 1\\n"), "no path of a file: ../evil"),
        (format!("{root}./a/../../evil\\0\\00081a4 1\\n"), "no path of a file: a/../../evil"),
        (format!("{root}/tmp/evil\\0\\00081a4 1\\n"), "no path of a file: /tmp/evil"),
        (
            format!("{root}./l\\0./l/evil\\0\\000a1ff 1\\n81a4 1\\n/tmp\\0"),
            "in no directory of the list: l/evil",
        ),
        (format!("{root}./l\\0./l\\0./l/evil\\0\\000a1ff 1\\n41ed 1\\n81a4 1\\n/tmp\\0"), "named twice: l"),
        (
            format!("{root}./\\033]0;evil\\007/../x\\0\\00081a4 1\\n"),
            "no path of a file: \\x1b]0;evil\\x07/../x",
        ),
        ("./a\\0\\00081a4 1\\n".to_owned(), "in no directory of the list: a"),
        ("nothing of the kind".to_owned(), "the list of files is not one"),
    ] {
        let sides = lying(&listing);
        let message = sides.refuses(":get tree");
        let expected = format!("the server's answer cannot be used: {said}; nothing was copied from it");
        assert_eq!(message, expected, "{listing}");
        assert_eq!(names(&sides.here), Vec::<String>::new());
    }
}

#[test]
fn a_server_that_sends_more_than_it_says_fills_nothing() {
    // Says 5 bytes, has many more.
    let sides = lying(".\\0./big\\0\\00041ed 4096\\n81a4 5\\n");
    fs::write(sides.there.join("tree/big"), noise(64 * MIB)).unwrap();
    let proxy = sides.proxy();
    let mut client = sides.start(&proxy, ":get tree");
    client.close_stdin();
    let message = client.finish().complains("client", 1);
    assert!(message.contains("big is not the same on both sides"), "{message}");
    assert!(passed(&proxy) < 32 * MIB as u64, "{:?}", proxy.observed());
    assert_eq!(names(&sides.here), [".tree.telex-part"]);
    assert_eq!(fs::metadata(sides.here.join(".tree.telex-part/big")).map_or(5, |found| found.len()), 5);
}
