use super::*;

/// What RDS answers: the inside of its result, or its error's code.
fn ask(world: &World, action: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    world.with(|state| answer(state, action, &parameters)).map_err(|refusal| refusal.code)
}

/// The text of the first element of this name.
fn text<'a>(answer: &'a str, element: &str) -> Option<&'a str> {
    let rest = answer.split_once(&format!("<{element}>"))?.1;
    Some(rest.split_once(&format!("</{element}>"))?.0)
}

fn refused(code: &str) -> Result<String, String> {
    Err(code.to_owned())
}

fn world() -> World {
    let world = World::new();
    world.create_database(DatabaseSeed::default());
    world.create_database(DatabaseSeed { id: "shop-orders".into(), is_cluster: true, ..DatabaseSeed::default() });
    world
}

const INSTANCE_ID: (&str, &str) = ("DBInstanceIdentifier", "shop-auth");
const CLUSTER_ID: (&str, &str) = ("DBClusterIdentifier", "shop-orders");

#[test]
fn databases_are_described_as_their_kind_is() {
    let world = world();
    let instance = ask(&world, "DescribeDBInstances", &[INSTANCE_ID]).unwrap();
    for (element, expected) in [
        ("DBInstanceIdentifier", "shop-auth"),
        ("DBInstanceStatus", "available"),
        ("DBSubnetGroupName", "shop-private"),
        ("VpcSecurityGroupId", "sg-00000000000000db1"),
        ("DBParameterGroupName", "shop-postgres16"),
        ("Address", "shop-auth.c0a1b2c3d4e5.eu-west-1.rds.amazonaws.com"),
        // Five minutes before nine.
        ("LatestRestorableTime", "2026-01-05T08:55:00Z"),
    ] {
        assert_eq!(text(&instance, element), Some(expected), "{element} of {instance}");
    }
    let cluster = ask(&world, "DescribeDBClusters", &[CLUSTER_ID]).unwrap();
    for (element, expected) in [
        ("DBClusterIdentifier", "shop-orders"),
        ("Status", "available"),
        ("DBSubnetGroup", "shop-private"),
        ("DBClusterParameterGroup", "shop-postgres16"),
        ("DBInstanceIdentifier", "shop-orders-1"),
        ("IsClusterWriter", "true"),
    ] {
        assert_eq!(text(&cluster, element), Some(expected), "{element} of {cluster}");
    }
    // Of all instances, those of clusters are some.
    let all = ask(&world, "DescribeDBInstances", &[]).unwrap();
    assert_eq!(all.matches("<DBInstanceIdentifier>").count(), 2, "{all}");
    // One kind does not know the other's names.
    let other = ask(&world, "DescribeDBClusters", &[("DBClusterIdentifier", "shop-auth")]);
    assert_eq!(other, refused("DBClusterNotFoundFault"));
    assert_eq!(ask(&world, "DescribeDBInstances", &[("DBInstanceIdentifier", "nope")]), refused("DBInstanceNotFound"));
    assert_eq!(ask(&world, "RebootDBInstance", &[INSTANCE_ID]), refused("InvalidAction"));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_takes_its_time_and_its_database_is_busy_meanwhile() {
    for (create, describe, of, own, busy, again) in [
        (
            "CreateDBSnapshot",
            "DescribeDBSnapshots",
            INSTANCE_ID,
            "DBSnapshotIdentifier",
            "InvalidDBInstanceState",
            "DBSnapshotAlreadyExists",
        ),
        (
            "CreateDBClusterSnapshot",
            "DescribeDBClusterSnapshots",
            CLUSTER_ID,
            "DBClusterSnapshotIdentifier",
            "InvalidDBClusterStateFault",
            "DBClusterSnapshotAlreadyExistsFault",
        ),
    ] {
        let world = world();
        let tags = [("Tags.Tag.1.Key", "by"), ("Tags.Tag.1.Value", "us"), ("Tags.Tag.2.Key", "why")];
        let begun = ask(&world, create, &[&[of, (own, "before")], &tags[..]].concat()).unwrap();
        assert_eq!((text(&begun, "Status"), text(&begun, "PercentProgress")), (Some("creating"), Some("0")));
        assert_eq!(
            text(&begun, "TagList"),
            Some("<Tag><Key>by</Key><Value>us</Value></Tag><Tag><Key>why</Key><Value></Value></Tag>")
        );
        assert_eq!(ask(&world, create, &[of, (own, "another")]), refused(busy));
        tokio::time::advance(SNAPSHOT).await;
        let done = ask(&world, describe, &[(own, "before")]).unwrap();
        assert_eq!((text(&done, "Status"), text(&done, "PercentProgress")), (Some("available"), Some("100")));
        assert_eq!(ask(&world, create, &[of, (own, "before")]), refused(again));
        assert_eq!(ask(&world, describe, &[of]).unwrap(), done, "by its database");
    }
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_limited_fail_and_go() {
    let world = world();
    let own = |id| ("DBSnapshotIdentifier", id);
    ask(&world, "CreateDBSnapshot", &[INSTANCE_ID, own("first")]).unwrap();
    world.fail_snapshots();
    tokio::time::advance(SNAPSHOT).await;
    assert_eq!(world.snapshots()[0].status, "failed");
    world.limit_snapshots(1);
    assert_eq!(ask(&world, "CreateDBSnapshot", &[INSTANCE_ID, own("second")]), refused("SnapshotQuotaExceeded"));
    ask(&world, "DeleteDBSnapshot", &[own("first")]).unwrap();
    assert_eq!(ask(&world, "DeleteDBSnapshot", &[own("first")]), refused("DBSnapshotNotFound"));
    assert_eq!(ask(&world, "DescribeDBSnapshots", &[own("first")]), refused("DBSnapshotNotFound"));
    assert_eq!(ask(&world, "DescribeDBSnapshots", &[]).unwrap(), "<DBSnapshots></DBSnapshots>");
    ask(&world, "CreateDBSnapshot", &[INSTANCE_ID, own("second")]).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_restored_has_rds_own_settings_unless_others_are_asked_for() {
    let world = world();
    let snapshot = ("DBSnapshotIdentifier", "before");
    ask(&world, "CreateDBSnapshot", &[INSTANCE_ID, snapshot]).unwrap();
    let restore = |to: &str, settings: &[(&str, &str)]| {
        let parameters = [&[("DBInstanceIdentifier", to), snapshot], settings].concat();
        ask(&world, "RestoreDBInstanceFromDBSnapshot", &parameters)
    };
    assert_eq!(restore("new", &[]), refused("InvalidDBSnapshotState"), "it is on its way still");
    tokio::time::advance(SNAPSHOT).await;
    restore("plain", &[]).unwrap();
    let groups = ("VpcSecurityGroupIds.VpcSecurityGroupId.1", "sg-1");
    restore("alike", &[("DBParameterGroupName", "shop-postgres16"), groups, ("MultiAZ", "true")]).unwrap();
    let view = |id: &str| world.databases().into_iter().find(|database| database.id == id).unwrap();
    let plain = view("plain");
    assert_eq!((plain.status.as_str(), plain.parameter_group.as_str()), ("creating", "default.postgres16"));
    assert_eq!((plain.security_groups, plain.multi_az), (vec!["sg-0000000000default".to_owned()], false));
    let alike = view("alike");
    assert_eq!((alike.parameter_group.as_str(), alike.multi_az), ("shop-postgres16", true));
    assert_eq!(alike.security_groups, ["sg-1"]);
    assert_eq!(restore("shop-auth", &[]), refused("DBInstanceAlreadyExists"));
    tokio::time::advance(RESTORE).await;
    assert_eq!(view("plain").status, "available");
}

#[tokio::test(start_paused = true)]
async fn a_database_goes_by_its_new_name_once_it_is_renamed() {
    let world = world();
    let to = ("NewDBClusterIdentifier", "shop-orders-old");
    let renaming = ask(&world, "ModifyDBCluster", &[CLUSTER_ID, to]).unwrap();
    assert_eq!(text(&renaming, "Status"), Some("renaming"));
    assert_eq!(ask(&world, "ModifyDBCluster", &[CLUSTER_ID, to]), refused("InvalidDBClusterStateFault"));
    tokio::time::advance(RENAME).await;
    assert_eq!(ask(&world, "DescribeDBClusters", &[CLUSTER_ID]), refused("DBClusterNotFoundFault"));
    let renamed = ask(&world, "DescribeDBClusters", &[("DBClusterIdentifier", "shop-orders-old")]).unwrap();
    assert_eq!(text(&renamed, "DBInstanceIdentifier"), Some("shop-orders-1"), "its members come with it");
    let taken = ask(&world, "ModifyDBInstance", &[INSTANCE_ID, ("NewDBInstanceIdentifier", "shop-orders-1")]);
    assert_eq!(taken, refused("DBInstanceAlreadyExists"));
    // A cluster has no instance until one is made.
    let member = [
        ("DBInstanceIdentifier", "more"),
        ("DBClusterIdentifier", "shop-orders-old"),
        ("DBInstanceClass", "db.r6g.large"),
    ];
    let made = ask(&world, "CreateDBInstance", &member).unwrap();
    assert_eq!(
        (text(&made, "DBInstanceStatus"), text(&made, "DBInstanceClass")),
        (Some("creating"), Some("db.r6g.large"))
    );
    tokio::time::advance(INSTANCE).await;
    assert!(world.databases().iter().any(|database| database.id == "more" && database.status == "available"));
}
