//! The functions that a query may call on MySQL and MariaDB, and what else may stand before a
//! parenthesis.

/// The names, in lower case, between blanks. Clocks are among them: they are replaced elsewhere.
pub(super) const NAMES: &str = "\
    abs acos adddate addtime aes_decrypt aes_encrypt any_value ascii asin atan atan2 avg bin
    bin_to_uuid bit_and bit_count bit_length bit_or bit_xor cast ceil ceiling char char_length
    character_length charset chr coalesce coercibility collation column_check column_exists
    column_get column_json column_list compress concat concat_operator_oracle concat_ws conv
    convert convert_tz cos cot count crc32 crc32c cume_dist curdate current_date current_time
    current_timestamp curtime database date date_add date_format date_sub datediff day dayname
    dayofmonth dayofweek dayofyear decode_oracle default degrees dense_rank elt exp export_set
    extract extractvalue field find_in_set first_value floor format format_pico_time from_base64
    from_days from_unixtime get_format greatest group_concat grouping hex hour if ifnull
    inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval is_ipv4 is_ipv4_compat
    is_ipv4_mapped is_ipv6 is_uuid isnull json_array json_array_append json_array_insert
    json_array_intersect json_arrayagg json_compact json_contains json_contains_path json_depth
    json_detailed json_equals json_exists json_extract json_insert json_key_value json_keys
    json_length json_loose json_merge json_merge_patch json_merge_preserve json_normalize
    json_object json_object_filter_keys json_object_to_array json_objectagg json_overlaps
    json_pretty json_query json_quote json_remove json_replace json_schema_valid json_search
    json_set json_storage_size json_table json_type json_unquote json_valid json_value kdf lag
    last_day last_value lcase lead least left length lengthb linestring ln localtime
    localtimestamp locate log log10 log2 lower lpad ltrim make_set makedate maketime max md5
    median microsecond mid min minute mod month monthname months_between natural_sort_key now
    nth_value ntile nullif nvl nvl2 oct octet_length ord percent_rank percentile_cont
    percentile_disc period_add period_diff pi point polygon position pow power quarter quote
    radians rand random_bytes rank regexp_instr regexp_like regexp_replace regexp_substr repeat
    replace reverse right round row row_number rpad rtrim schema sec_to_time second sformat sha
    sha1 sha2 sign sin soundex space sqrt st_area st_asgeojson st_astext st_aswkt st_buffer
    st_centroid st_contains st_crosses st_difference st_disjoint st_distance st_distance_sphere
    st_envelope st_equals st_geomfromgeojson st_geomfromtext st_intersection st_intersects
    st_isempty st_isvalid st_length st_makeenvelope st_numpoints st_overlaps st_pointfromtext
    st_polyfromtext st_simplify st_srid st_touches st_union st_within st_x st_y std stddev
    stddev_pop stddev_samp str_to_date strcmp subdate substr substring substring_index subtime
    sum sysdate tan time time_format time_to_sec timediff timestamp timestampadd timestampdiff
    to_base64 to_char to_days to_number to_seconds trim truncate ucase uncompress
    uncompressed_length unhex unix_timestamp updatexml upper utc_date utc_time utc_timestamp
    uuid uuid_to_bin uuid_v4 uuid_v7 values var_pop var_samp variance vec_distance
    vec_distance_cosine vec_distance_euclidean vec_fromtext vec_totext version week weekday
    weekofyear weight_string year yearweek";

/// Reserved words that stand before a parenthesis. Without quotes, none of them can be the name of a
/// function.
pub(super) const RESERVED: &str = "\
    all and as between binary by case char collate dec decimal distinct distinctrow div double
    else except exists float from group having in index int integer intersect interval is join
    key lateral like limit match not numeric on or order over partition recursive regexp rlike
    select separator straight_join then union using varbinary varchar when where with xor";

/// Types with a length that are no reserved words. They are types only after `as`.
pub(super) const TYPES: &str = "\
    datetime nchar nvarchar time timestamp vector";
