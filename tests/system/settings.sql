-- What belongs to a database itself and is in no plain dump of it.
SELECT 'owner', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datallowconn
    FROM pg_database WHERE datname = current_database();
SELECT 'setting', coalesce(nullif(setrole, 0)::regrole::text, 'everybody'), unnest(setconfig)
    FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database() ORDER BY 2, 3;
SELECT 'privilege', CASE grantee WHEN 0 THEN 'everybody' ELSE pg_get_userbyid(grantee) END, privilege_type, is_grantable
    FROM pg_database CROSS JOIN LATERAL aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE datname = current_database() ORDER BY 2, 3;
