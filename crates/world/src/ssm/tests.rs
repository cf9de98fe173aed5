use super::*;

fn ask(world: &World, operation: &str, body: Value) -> Result<Value, String> {
    world.with(|state| answer(state, operation, &body)).map_err(|refusal| refusal.code)
}

#[test]
fn a_parameter_is_made_once_without_overwrite_and_versioned_with_it() {
    let world = World::new();
    let put = |overwrite| json!({ "Name": "/delivery/lock", "Value": "me", "Type": "String", "Overwrite": overwrite });
    assert_eq!(ask(&world, "PutParameter", put(false)), Ok(json!({ "Version": 1, "Tier": "Standard" })));
    assert_eq!(ask(&world, "PutParameter", put(false)), Err("ParameterAlreadyExists".to_owned()));
    assert_eq!(ask(&world, "PutParameter", put(true)).unwrap()["Version"], 2);
    assert_eq!(ask(&world, "GetParameter", json!({ "Name": "/delivery/lock:1" })).unwrap()["Parameter"]["Version"], 1);
    let nine = ask(&world, "GetParameter", json!({ "Name": "/delivery/lock:9" }));
    assert_eq!(nine, Err("ParameterVersionNotFound".to_owned()));
    assert_eq!(ask(&world, "DeleteParameter", json!({ "Name": "/delivery/lock" })), Ok(json!({})));
    assert_eq!(ask(&world, "GetParameter", json!({ "Name": "/delivery/lock" })), Err("ParameterNotFound".to_owned()));
}

#[test]
fn a_secret_shows_its_value_only_with_decryption() {
    let world = World::new();
    ask(&world, "PutParameter", json!({ "Name": "db", "Value": "hunter2", "Type": "SecureString" })).unwrap();
    let value = |decrypt| {
        let body = json!({ "Name": "db", "WithDecryption": decrypt });
        ask(&world, "GetParameter", body).unwrap()["Parameter"]["Value"].as_str().unwrap().to_owned()
    };
    assert!(!value(false).contains("hunter2"));
    assert_eq!(value(true), "hunter2");
}

#[test]
fn a_value_has_the_tier_that_its_length_needs() {
    let world = World::new();
    let put = |name: &str, length: usize, tier: Option<&str>| {
        let mut body = json!({ "Name": name, "Value": "x".repeat(length), "Type": "String", "Overwrite": true });
        if let Some(tier) = tier {
            body["Tier"] = json!(tier);
        }
        ask(&world, "PutParameter", body).map(|answer| answer["Tier"].as_str().unwrap().to_owned())
    };
    let refused = Err("ValidationException".to_owned());
    assert_eq!(put("a", 4096, None).as_deref(), Ok("Standard"));
    assert_eq!(put("a", 4097, None), refused);
    assert_eq!(put("a", 4097, Some("Intelligent-Tiering")).as_deref(), Ok("Advanced"));
    assert_eq!(put("a", 10, None).as_deref(), Ok("Advanced"));
    assert_eq!(put("a", 10, Some("Standard")), refused);
    assert_eq!(put("a", 8193, Some("Advanced")), refused);
    assert_eq!(put("b", 0, None), refused);
    assert_eq!(put("b/c", 1, None), refused);
}

#[test]
fn the_history_keeps_a_hundred_versions_and_is_paged() {
    let world = World::new();
    for number in 0..105 {
        world.put_parameter("/release", &number.to_string());
    }
    let first = ask(&world, "GetParameterHistory", json!({ "Name": "/release" })).unwrap();
    assert_eq!(first["Parameters"].as_array().unwrap().len(), 50);
    assert_eq!(first["Parameters"][0]["Value"], "5");
    let rest = json!({ "Name": "/release", "NextToken": first["NextToken"] });
    let rest = ask(&world, "GetParameterHistory", rest).unwrap();
    assert_eq!(rest["Parameters"].as_array().unwrap().last().unwrap()["Version"], 105);
    assert_eq!(rest.get("NextToken"), None);
}

#[test]
fn parameters_are_found_by_name_and_by_arn() {
    let world = World::new();
    world.put_parameter("/shop/db", "x");
    world.put_parameter("plain", "x");
    for (name, exists) in [
        ("/shop/db", true),
        ("arn:aws:ssm:eu-west-1:111122223333:parameter/shop/db", true),
        ("arn:aws:ssm:eu-west-1:111122223333:parameter/plain", true),
        ("arn:aws:ssm:eu-west-1:111122223333:parameter/nope", false),
        ("nope", false),
    ] {
        assert_eq!(world.with(|state| parameter_exists(state, name)), exists, "{name}");
    }
    let body = json!({ "ParameterFilters": [{ "Key": "Path", "Option": "Recursive", "Values": ["/shop"] }] });
    let found = ask(&world, "DescribeParameters", body).unwrap();
    assert_eq!(found["Parameters"][0]["ARN"], "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/db");
    let several = ask(&world, "GetParameters", json!({ "Names": ["plain", "nope"] })).unwrap();
    assert_eq!(several["InvalidParameters"], json!(["nope"]));
}

#[test]
fn of_two_who_make_a_parameter_one_succeeds() {
    let world = World::new();
    let made: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|holder| {
                let world = &world;
                let body =
                    json!({ "Name": "/lock", "Value": holder.to_string(), "Type": "String", "Overwrite": false });
                scope.spawn(move || ask(world, "PutParameter", body).is_ok())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
}

#[test]
fn an_overwrite_that_names_no_key_moves_a_secret_to_the_default_one() {
    let world = World::new();
    world.put_secure_parameter("/shop/db", "one", Some("alias/shop"));
    let key = |world: &World| {
        let body = json!({ "ParameterFilters": [{ "Key": "Name", "Values": ["/shop/db"] }] });
        ask(world, "DescribeParameters", body).unwrap()["Parameters"][0]["KeyId"].clone()
    };
    assert_eq!(key(&world), "alias/shop");
    let put = |key: Option<&str>| {
        let mut body = json!({ "Name": "/shop/db", "Value": "two", "Overwrite": true });
        key.into_iter().for_each(|key| body["KeyId"] = json!(key));
        ask(&world, "PutParameter", body).unwrap()
    };
    put(Some("alias/shop"));
    assert_eq!(key(&world), "alias/shop");
    put(None);
    assert_eq!(key(&world), "alias/aws/ssm");
    let history = ask(&world, "GetParameterHistory", json!({ "Name": "/shop/db" })).unwrap();
    assert_eq!(
        (&history["Parameters"][1]["KeyId"], &history["Parameters"][2]["KeyId"]),
        (&json!("alias/shop"), &json!("alias/aws/ssm"))
    );
    let plain = json!({ "Name": "/shop/db", "Value": "three", "Type": "String", "Overwrite": true });
    assert_eq!(ask(&world, "PutParameter", plain), Err("HierarchyTypeMismatchException".to_owned()));
}

#[test]
fn ten_parameters_at_a_time_are_had_by_name_arn_and_version() {
    let world = World::new();
    world.put_parameter("/a", "one");
    world.put_parameter("/a", "two");
    let arn = "arn:aws:ssm:eu-west-1:111122223333:parameter/a";
    let found = ask(&world, "GetParameters", json!({ "Names": ["/a:1", arn, "/b", "/a:9"] })).unwrap();
    assert_eq!((&found["Parameters"][0]["Value"], &found["Parameters"][1]["Value"]), (&json!("one"), &json!("two")));
    assert_eq!(found["InvalidParameters"], json!(["/b", "/a:9"]));
    let names: Vec<String> = (0..11).map(|number| format!("/{number}")).collect();
    assert_eq!(ask(&world, "GetParameters", json!({ "Names": names })), Err("ValidationException".to_owned()));
    let large = json!({ "Name": "/a", "MaxResults": 51 });
    assert_eq!(ask(&world, "GetParameterHistory", large), Err("ValidationException".to_owned()));
}
