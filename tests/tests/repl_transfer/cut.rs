//! Copies that do not come to their end at once: a killed client, a cut line, an interrupt, and what others do meanwhile.

use super::*;

#[test]
fn a_client_that_is_killed_in_the_middle_leaves_a_part_from_which_the_next_one_goes_on() {
    let sides = Sides::new();
    let content = noise(48 * MIB);
    for (way, direction, from, to) in [
        (":put", Direction::ToServer, &sides.here, &sides.there),
        (":get", Direction::ToClient, &sides.there, &sides.here),
    ] {
        let name = format!("file of {}", &way[1..]);
        fs::write(from.join(&name), &content).unwrap();
        let line = format!("{way} '{name}'");
        let proxy = sides.proxy();
        let mut client = sides.start(&proxy, &line);
        stall_behind(&proxy, direction, 24 * MIB);
        assert!(!to.join(&name).exists());
        let part = to.join(format!(".{name}.telex-part"));
        let size = || fs::metadata(&part).map_or(0, |found| found.len());
        wait_until("half of it is there", DEADLINE, || size() > 16 * MIB as u64);
        client.signal(Signal::KILL);
        assert_eq!(client.finish().status.code(), None);
        assert!(!to.join(&name).exists() && size() < content.len() as u64);

        let proxy = sides.proxy();
        let mut client = sides.start(&proxy, &line);
        client.close_stdin();
        assert_eq!(client.finish().succeeds(), "");
        assert!(fs::read(to.join(&name)).unwrap() == content, "{way}");
        assert!(!part.exists());
        let again = passed(&proxy);
        assert!(again < 36 * MIB as u64, "{way}: {again} bytes were sent again");
    }
}

#[test]
fn a_tree_that_was_cut_goes_on_with_what_is_missing() {
    let sides = Sides::new();
    for (way, direction, from, to) in [
        (":put", Direction::ToServer, &sides.here, &sides.there),
        (":get", Direction::ToClient, &sides.there, &sides.here),
    ] {
        let name = way[1..].to_owned();
        fs::create_dir_all(from.join(&name).join("in")).unwrap();
        for number in 0..12 {
            fs::write(from.join(&name).join("in").join(number.to_string()), noise(3 * MIB + number)).unwrap();
        }
        let line = format!("{way} {name}");
        let proxy = sides.proxy();
        let mut client = sides.start(&proxy, &line);
        stall_behind(&proxy, direction, 24 * MIB);
        client.signal(Signal::KILL);
        client.finish();
        assert!(!to.join(&name).exists());
        let proxy = sides.proxy();
        let mut client = sides.start(&proxy, &line);
        client.close_stdin();
        assert_eq!(client.finish().succeeds(), "");
        assert!(contents(&to.join(&name)) == contents(&from.join(&name)), "{way}");
        let again = passed(&proxy);
        assert!(again < 24 * MIB as u64, "{way}: {again} bytes were sent again");
    }
}

#[test]
fn a_line_that_is_cut_costs_time_only() {
    let sides = Sides::new();
    let content = noise(48 * MIB);
    for (way, direction, from, to) in [
        (":put", Direction::ToServer, &sides.here, &sides.there),
        (":get", Direction::ToClient, &sides.there, &sides.here),
    ] {
        let name = &way[1..];
        fs::write(from.join(name), &content).unwrap();
        let proxy = sides.proxy();
        proxy.cut_by(Cutter::each(direction, 20 * MIB as u64, Ending::Reset));
        let mut client = sides.start(&proxy, &format!("{way} {name}"));
        client.close_stdin();
        client.finish().exits(0);
        assert!(fs::read(to.join(name)).unwrap() == content, "{way}");
        let observed = proxy.observed();
        assert!(observed.cuts >= 2, "{observed:?}");
        assert!(passed(&proxy) < 64 * MIB as u64, "{observed:?}");
    }
}

#[test]
fn what_an_earlier_try_has_left_of_another_file_is_not_gone_on_with() {
    let sides = Sides::new();
    let content = noise(2 * MIB);
    for (way, from, to) in [(":put", &sides.here, &sides.there), (":get", &sides.there, &sides.here)] {
        for (case, part) in
            [noise(MIB + 1)[1..].to_vec(), [&content[..], b"more"].concat(), vec![b'x'; 2 * MIB]]
                .into_iter()
                .enumerate()
        {
            let name = format!("{}{case}", &way[1..]);
            fs::write(from.join(&name), &content).unwrap();
            let part_path = to.join(format!(".{name}.telex-part"));
            fs::write(&part_path, part).unwrap();
            sides.copies(&format!("{way} {name}"));
            assert!(fs::read(to.join(&name)).unwrap() == content, "{name}");
            assert!(!part_path.exists());
        }
        // A directory once, a file now.
        let name = format!("{}-kind", &way[1..]);
        fs::create_dir_all(to.join(format!(".{name}.telex-part/inner"))).unwrap();
        fs::write(from.join(&name), "x").unwrap();
        sides.copies(&format!("{way} {name}"));
        assert_eq!(fs::read_to_string(to.join(&name)).unwrap(), "x");
    }
}

#[test]
fn a_part_that_leads_elsewhere_is_not_written_to() {
    let sides = Sides::new();
    for (way, from, to) in [(":put", &sides.here, &sides.there), (":get", &sides.there, &sides.here)] {
        let name = &way[1..];
        let victim = to.join("victim");
        fs::write(&victim, "as it was").unwrap();
        fs::write(from.join(name), noise(MIB)).unwrap();
        symlink(&victim, to.join(format!(".{name}.telex-part"))).unwrap();
        sides.copies(&format!("{way} {name}"));
        // A copy whose final name was given to it, and the other not taken away any more.
        fs::hard_link(&victim, to.join(format!(".{name}-2.telex-part"))).unwrap();
        sides.copies(&format!("{way} {name} {name}-2"));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was", "{way}");
        assert!(fs::symlink_metadata(to.join(name)).unwrap().is_file());
    }
}

#[test]
fn whoever_takes_the_name_meanwhile_keeps_it() {
    let sides = Sides::new();
    for (way, direction, from, to) in [
        (":put", Direction::ToServer, &sides.here, &sides.there),
        (":get", Direction::ToClient, &sides.there, &sides.here),
    ] {
        let name = &way[1..];
        fs::write(from.join(name), noise(16 * MIB)).unwrap();
        let proxy = sides.proxy();
        let mut client = sides.start(&proxy, &format!("{way} {name}"));
        stall_behind(&proxy, direction, 4 * MIB);
        fs::write(to.join(name), "first").unwrap();
        proxy.set(Mode::Pass);
        client.close_stdin();
        let message = client.finish().complains("client", 1);
        assert!(message.contains("is there already"), "{message}");
        assert_eq!(fs::read_to_string(to.join(name)).unwrap(), "first");
    }
}

#[test]
fn an_interrupt_stops_it_and_says_where() {
    let sides = Sides::new();
    for (way, direction, from, to) in [
        (":put", Direction::ToServer, &sides.here, &sides.there),
        (":get", Direction::ToClient, &sides.there, &sides.here),
    ] {
        let name = &way[1..];
        let content = noise(48 * MIB);
        fs::write(from.join(name), &content).unwrap();
        let proxy = sides.proxy();
        let mut client = sides.start(&proxy, &format!("{way} {name}\necho never"));
        stall_behind(&proxy, direction, 16 * MIB);
        client.signal(Signal::INT);
        proxy.set(Mode::Pass);
        let message = client.finish().complains("client", 130);
        assert!(message.contains("interrupted at ") && message.contains(" of 48.00 MiB"), "{message}");
        assert!(!to.join(name).exists() && to.join(format!(".{name}.telex-part")).exists());
        sides.copies(&format!("{way} {name}"));
        assert!(fs::read(to.join(name)).unwrap() == content);
    }
}
