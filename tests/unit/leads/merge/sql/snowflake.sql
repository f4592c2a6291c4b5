-- ranked
SELECT
  "t2"."source",
  "t2"."source_scope",
  "t2"."source_id",
  "t2"."email",
  "t2"."email_key",
  "t2"."first_name",
  "t2"."last_name",
  "t2"."phone",
  "t2"."company",
  "t2"."title",
  "t2"."website",
  "t2"."address",
  "t2"."city",
  "t2"."state",
  "t2"."postal_code",
  "t2"."country",
  "t2"."industry",
  "t2"."status",
  "t2"."opted_out",
  "t2"."bounced",
  "t2"."created_at",
  "t2"."updated_at",
  "t2"."properties",
  "t2"."person" AS "golden_key",
  "t2"."rank",
  "t2"."member_count",
  "t2"."rank_newest",
  "t2"."industry_votes"
FROM (
  SELECT
    "t1"."source",
    "t1"."source_scope",
    "t1"."source_id",
    "t1"."email",
    "t1"."email_key",
    "t1"."first_name",
    "t1"."last_name",
    "t1"."phone",
    "t1"."company",
    "t1"."title",
    "t1"."website",
    "t1"."address",
    "t1"."city",
    "t1"."state",
    "t1"."postal_code",
    "t1"."country",
    "t1"."industry",
    "t1"."status",
    "t1"."opted_out",
    "t1"."bounced",
    "t1"."created_at",
    "t1"."updated_at",
    "t1"."properties",
    "t1"."person",
    ROW_NUMBER() OVER (
      PARTITION BY "t1"."person"
      ORDER BY CASE
        WHEN "t1"."source" = 'hubspot'
        THEN 0
        WHEN "t1"."source" = 'persistiq'
        THEN 1
        ELSE 2
      END ASC, "t1"."updated_at" DESC NULLS LAST, "t1"."source" ASC, "t1"."source_scope" ASC, "t1"."source_id" ASC, CONCAT(
        CONCAT(
          CONCAT(
            CONCAT(
              CONCAT(
                CONCAT(
                  CONCAT(
                    CONCAT(
                      CONCAT(
                        CONCAT(
                          CONCAT(
                            CONCAT(
                              CONCAT(
                                CONCAT(
                                  CONCAT(
                                    CONCAT(
                                      CONCAT(
                                        CONCAT(
                                          CONCAT(
                                            CONCAT(
                                              CONCAT(
                                                CONCAT(
                                                  CONCAT(
                                                    CONCAT(
                                                      CONCAT(
                                                        CONCAT(
                                                          CONCAT(CONCAT(COALESCE("t1"."email", '􏿿'), '\x1f'), COALESCE("t1"."first_name", '􏿿')),
                                                          '\x1f'
                                                        ),
                                                        COALESCE("t1"."last_name", '􏿿')
                                                      ),
                                                      '\x1f'
                                                    ),
                                                    COALESCE("t1"."phone", '􏿿')
                                                  ),
                                                  '\x1f'
                                                ),
                                                COALESCE("t1"."company", '􏿿')
                                              ),
                                              '\x1f'
                                            ),
                                            COALESCE("t1"."title", '􏿿')
                                          ),
                                          '\x1f'
                                        ),
                                        COALESCE("t1"."website", '􏿿')
                                      ),
                                      '\x1f'
                                    ),
                                    COALESCE("t1"."address", '􏿿')
                                  ),
                                  '\x1f'
                                ),
                                COALESCE("t1"."city", '􏿿')
                              ),
                              '\x1f'
                            ),
                            COALESCE("t1"."state", '􏿿')
                          ),
                          '\x1f'
                        ),
                        COALESCE("t1"."postal_code", '􏿿')
                      ),
                      '\x1f'
                    ),
                    COALESCE("t1"."country", '􏿿')
                  ),
                  '\x1f'
                ),
                COALESCE("t1"."industry", '􏿿')
              ),
              '\x1f'
            ),
            COALESCE("t1"."status", '􏿿')
          ),
          '\x1f'
        ),
        COALESCE("t1"."properties", '􏿿')
      ) ASC
    ) - 1 AS "rank",
    COUNT(*) OVER (
      PARTITION BY "t1"."person"
      ORDER BY NULL ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "member_count",
    ROW_NUMBER() OVER (
      PARTITION BY "t1"."person"
      ORDER BY "t1"."updated_at" DESC NULLS LAST, CASE
        WHEN "t1"."source" = 'hubspot'
        THEN 0
        WHEN "t1"."source" = 'persistiq'
        THEN 1
        ELSE 2
      END ASC, "t1"."source" ASC, "t1"."source_scope" ASC, "t1"."source_id" ASC, CONCAT(
        CONCAT(
          CONCAT(
            CONCAT(
              CONCAT(
                CONCAT(
                  CONCAT(
                    CONCAT(
                      CONCAT(
                        CONCAT(
                          CONCAT(
                            CONCAT(
                              CONCAT(
                                CONCAT(
                                  CONCAT(
                                    CONCAT(
                                      CONCAT(
                                        CONCAT(
                                          CONCAT(
                                            CONCAT(
                                              CONCAT(
                                                CONCAT(
                                                  CONCAT(
                                                    CONCAT(
                                                      CONCAT(
                                                        CONCAT(
                                                          CONCAT(CONCAT(COALESCE("t1"."email", '􏿿'), '\x1f'), COALESCE("t1"."first_name", '􏿿')),
                                                          '\x1f'
                                                        ),
                                                        COALESCE("t1"."last_name", '􏿿')
                                                      ),
                                                      '\x1f'
                                                    ),
                                                    COALESCE("t1"."phone", '􏿿')
                                                  ),
                                                  '\x1f'
                                                ),
                                                COALESCE("t1"."company", '􏿿')
                                              ),
                                              '\x1f'
                                            ),
                                            COALESCE("t1"."title", '􏿿')
                                          ),
                                          '\x1f'
                                        ),
                                        COALESCE("t1"."website", '􏿿')
                                      ),
                                      '\x1f'
                                    ),
                                    COALESCE("t1"."address", '􏿿')
                                  ),
                                  '\x1f'
                                ),
                                COALESCE("t1"."city", '􏿿')
                              ),
                              '\x1f'
                            ),
                            COALESCE("t1"."state", '􏿿')
                          ),
                          '\x1f'
                        ),
                        COALESCE("t1"."postal_code", '􏿿')
                      ),
                      '\x1f'
                    ),
                    COALESCE("t1"."country", '􏿿')
                  ),
                  '\x1f'
                ),
                COALESCE("t1"."industry", '􏿿')
              ),
              '\x1f'
            ),
            COALESCE("t1"."status", '􏿿')
          ),
          '\x1f'
        ),
        COALESCE("t1"."properties", '􏿿')
      ) ASC
    ) - 1 AS "rank_newest",
    COUNT("t1"."industry") OVER (
      PARTITION BY "t1"."person", "t1"."industry"
      ORDER BY NULL ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "industry_votes"
  FROM (
    SELECT
      "t0"."source",
      "t0"."source_scope",
      "t0"."source_id",
      "t0"."email",
      "t0"."email_key",
      "t0"."first_name",
      "t0"."last_name",
      "t0"."phone",
      "t0"."company",
      "t0"."title",
      "t0"."website",
      "t0"."address",
      "t0"."city",
      "t0"."state",
      "t0"."postal_code",
      "t0"."country",
      "t0"."industry",
      "t0"."status",
      "t0"."opted_out",
      "t0"."bounced",
      "t0"."created_at",
      "t0"."updated_at",
      "t0"."properties",
      "t0"."email_key" AS "person"
    FROM "leads" AS "t0"
    WHERE
      "t0"."email_key" IS NOT NULL
  ) AS "t1"
) AS "t2";

-- members
SELECT
  "t4"."source",
  "t4"."source_scope",
  "t4"."source_id",
  "t4"."rank",
  "t4"."updated_at",
  "t4"."email_key",
  "t4"."address",
  "t4"."duplicate"
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t2"."source",
      "t2"."source_scope",
      "t2"."source_id",
      "t2"."rank",
      "t2"."updated_at",
      "t2"."member_count",
      "t2"."email_key",
      "t2"."address",
      (
        ROW_NUMBER() OVER (
          PARTITION BY "t2"."email_key", "t2"."source", "t2"."source_scope"
          ORDER BY "t2"."rank" ASC
        ) - 1
      ) > 0 AS "duplicate"
    FROM (
      SELECT
        "t0"."source",
        "t0"."source_scope",
        "t0"."source_id",
        "t0"."rank",
        "t0"."updated_at",
        "t0"."member_count",
        "t0"."golden_key" AS "email_key",
        "t0"."email_key" AS "address"
      FROM "ranked" AS "t0"
      WHERE
        "t0"."member_count" > 1
    ) AS "t2"
  ) AS "t3"
  UNION ALL
  SELECT
    *
  FROM (
    SELECT
      "t0"."source",
      "t0"."source_scope",
      "t0"."source_id",
      "t0"."rank",
      "t0"."updated_at",
      "t0"."member_count",
      "t0"."golden_key" AS "email_key",
      "t0"."email_key" AS "address",
      FALSE AS "duplicate"
    FROM "ranked" AS "t0"
    WHERE
      "t0"."member_count" = 1
  ) AS "t1"
) AS "t4";

-- golden
SELECT
  'golden' AS "source",
  '' AS "source_scope",
  "t1"."golden_key" AS "source_id",
  "t1"."email",
  "t1"."golden_key" AS "email_key",
  "t1"."first_name",
  "t1"."last_name",
  "t1"."phone",
  "t1"."company",
  "t1"."title",
  "t1"."website",
  "t1"."address",
  "t1"."city",
  "t1"."state",
  "t1"."postal_code",
  "t1"."country",
  "t1"."industry",
  "t1"."status",
  "t1"."opted_out",
  "t1"."bounced",
  "t1"."created_at",
  "t1"."updated_at",
  "t1"."properties",
  "t1"."member_count",
  OBJECT_CONSTRUCT_KEEP_NULL(
    'first_name',
    "t1"."first_name_from",
    'last_name',
    "t1"."last_name_from",
    'phone',
    "t1"."phone_from",
    'company',
    "t1"."company_from",
    'title',
    "t1"."title_from",
    'website',
    "t1"."website_from",
    'address',
    "t1"."address_from",
    'city',
    "t1"."city_from",
    'state',
    "t1"."state_from",
    'postal_code',
    "t1"."postal_code_from",
    'country',
    "t1"."country_from",
    'industry',
    "t1"."industry_from",
    'status',
    "t1"."status_from"
  ) AS "lineage"
FROM (
  SELECT
    "t0"."golden_key",
    MIN_BY(
      IFF("t0"."first_name" IS NOT NULL, "t0"."first_name", NULL),
      IFF("t0"."first_name" IS NOT NULL, "t0"."rank", NULL)
    ) AS "first_name",
    MIN_BY(
      IFF("t0"."last_name" IS NOT NULL, "t0"."last_name", NULL),
      IFF("t0"."last_name" IS NOT NULL, "t0"."rank", NULL)
    ) AS "last_name",
    MIN_BY(
      IFF("t0"."phone" IS NOT NULL, "t0"."phone", NULL),
      IFF("t0"."phone" IS NOT NULL, "t0"."rank_newest", NULL)
    ) AS "phone",
    MIN_BY(
      IFF(
        (
          "t0"."company" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."company",
        NULL
      ),
      IFF(
        (
          "t0"."company" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" - (
          CAST(LENGTH("t0"."company") AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) AS "company",
    MIN_BY(
      IFF(
        (
          "t0"."title" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."title",
        NULL
      ),
      IFF(
        (
          "t0"."title" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "title",
    MIN_BY(
      IFF(
        (
          "t0"."website" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."website",
        NULL
      ),
      IFF(
        (
          "t0"."website" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "website",
    MIN_BY(
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."address",
        NULL
      ),
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) AS "address",
    MIN_BY(
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."city",
        NULL
      ),
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) AS "city",
    MIN_BY(
      IFF(
        (
          "t0"."state" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."state",
        NULL
      ),
      IFF(
        (
          "t0"."state" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "state",
    MIN_BY(
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."postal_code",
        NULL
      ),
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) AS "postal_code",
    MIN_BY(
      IFF(
        (
          "t0"."country" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."country",
        NULL
      ),
      IFF(
        (
          "t0"."country" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "country",
    MIN_BY(
      IFF(
        (
          "t0"."industry" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."industry",
        NULL
      ),
      IFF(
        (
          "t0"."industry" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" - (
          "t0"."industry_votes" * 4294967296
        ),
        NULL
      )
    ) AS "industry",
    MIN_BY(
      IFF(
        (
          "t0"."status" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."status",
        NULL
      ),
      IFF(
        (
          "t0"."status" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "status",
    MAX("t0"."opted_out") AS "opted_out",
    MAX("t0"."bounced") AS "bounced",
    MIN_BY(
      IFF("t0"."email_key" IS NOT NULL, "t0"."email", NULL),
      IFF("t0"."email_key" IS NOT NULL, "t0"."rank", NULL)
    ) AS "email",
    MIN("t0"."created_at") AS "created_at",
    MAX("t0"."updated_at") AS "updated_at",
    MIN_BY(
      IFF("t0"."properties" IS NOT NULL, "t0"."properties", NULL),
      IFF("t0"."properties" IS NOT NULL, "t0"."rank", NULL)
    ) AS "properties",
    COUNT(*) AS "member_count",
    MIN(IFF("t0"."first_name" IS NOT NULL, "t0"."rank", NULL)) AS "first_name_from",
    MIN(IFF("t0"."last_name" IS NOT NULL, "t0"."rank", NULL)) AS "last_name_from",
    MIN_BY(
      IFF("t0"."phone" IS NOT NULL, "t0"."rank", NULL),
      IFF("t0"."phone" IS NOT NULL, "t0"."rank_newest", NULL)
    ) AS "phone_from",
    MIN_BY(
      IFF(
        (
          "t0"."company" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      ),
      IFF(
        (
          "t0"."company" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" - (
          CAST(LENGTH("t0"."company") AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) AS "company_from",
    MIN(
      IFF(
        (
          "t0"."title" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "title_from",
    MIN(
      IFF(
        (
          "t0"."website" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "website_from",
    MIN_BY(
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        IFF("t0"."address" IS NOT NULL, "t0"."rank", NULL),
        NULL
      ),
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) AS "address_from",
    MIN_BY(
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        IFF("t0"."city" IS NOT NULL, "t0"."rank", NULL),
        NULL
      ),
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) AS "city_from",
    MIN(
      IFF(
        (
          "t0"."state" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "state_from",
    MIN_BY(
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        IFF("t0"."postal_code" IS NOT NULL, "t0"."rank", NULL),
        NULL
      ),
      IFF(
        (
          (
            "t0"."postal_code" IS NOT NULL
          )
          OR (
            "t0"."city" IS NOT NULL
          )
          OR (
            "t0"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) AS "postal_code_from",
    MIN(
      IFF(
        (
          "t0"."country" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "country_from",
    MIN_BY(
      IFF(
        (
          "t0"."industry" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      ),
      IFF(
        (
          "t0"."industry" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank" - (
          "t0"."industry_votes" * 4294967296
        ),
        NULL
      )
    ) AS "industry_from",
    MIN(
      IFF(
        (
          "t0"."status" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        ),
        "t0"."rank",
        NULL
      )
    ) AS "status_from"
  FROM "ranked" AS "t0"
  GROUP BY
    1
) AS "t1";

-- disputed
WITH "t1" AS (
  SELECT
    *
  FROM "ranked" AS "t0"
  WHERE
    "t0"."member_count" > 1
)
SELECT
  "t7"."source",
  "t7"."source_scope",
  "t7"."source_id",
  "t7"."email",
  "t7"."email_key",
  IFF(
    "t7"."first_name_differs" AND (
      "t7"."first_name" IS NOT NULL
    ),
    "t7"."first_name",
    NULL
  ) AS "first_name",
  IFF(
    "t7"."last_name_differs" AND (
      "t7"."last_name" IS NOT NULL
    ),
    "t7"."last_name",
    NULL
  ) AS "last_name",
  IFF("t7"."phone_differs" AND (
    "t7"."phone" IS NOT NULL
  ), "t7"."phone", NULL) AS "phone",
  IFF(
    "t7"."company_differs"
    AND (
      (
        "t7"."company" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."company",
    NULL
  ) AS "company",
  IFF(
    "t7"."title_differs"
    AND (
      (
        "t7"."title" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."title",
    NULL
  ) AS "title",
  IFF(
    "t7"."website_differs"
    AND (
      (
        "t7"."website" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."website",
    NULL
  ) AS "website",
  IFF(
    "t7"."address_differs"
    AND (
      (
        (
          "t7"."postal_code" IS NOT NULL
        )
        OR (
          "t7"."city" IS NOT NULL
        )
        OR (
          "t7"."address" IS NOT NULL
        )
      )
      AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."address",
    NULL
  ) AS "address",
  IFF(
    "t7"."city_differs"
    AND (
      (
        (
          "t7"."postal_code" IS NOT NULL
        )
        OR (
          "t7"."city" IS NOT NULL
        )
        OR (
          "t7"."address" IS NOT NULL
        )
      )
      AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."city",
    NULL
  ) AS "city",
  IFF(
    "t7"."state_differs"
    AND (
      (
        "t7"."state" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."state",
    NULL
  ) AS "state",
  IFF(
    "t7"."postal_code_differs"
    AND (
      (
        (
          "t7"."postal_code" IS NOT NULL
        )
        OR (
          "t7"."city" IS NOT NULL
        )
        OR (
          "t7"."address" IS NOT NULL
        )
      )
      AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."postal_code",
    NULL
  ) AS "postal_code",
  IFF(
    "t7"."country_differs"
    AND (
      (
        "t7"."country" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."country",
    NULL
  ) AS "country",
  IFF(
    "t7"."industry_differs"
    AND (
      (
        "t7"."industry" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."industry",
    NULL
  ) AS "industry",
  IFF(
    "t7"."status_differs"
    AND (
      (
        "t7"."status" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    ),
    "t7"."status",
    NULL
  ) AS "status",
  "t7"."opted_out",
  "t7"."bounced",
  "t7"."created_at",
  "t7"."updated_at",
  "t7"."properties",
  "t7"."golden_key",
  "t7"."rank",
  "t7"."member_count",
  "t7"."rank_newest",
  "t7"."industry_votes",
  "t7"."first_name_differs",
  "t7"."last_name_differs",
  "t7"."phone_differs",
  "t7"."company_differs",
  "t7"."title_differs",
  "t7"."website_differs",
  "t7"."address_differs",
  "t7"."city_differs",
  "t7"."state_differs",
  "t7"."postal_code_differs",
  "t7"."country_differs",
  "t7"."industry_differs",
  "t7"."status_differs",
  "t7"."rank_newest" AS "phone_order",
  "t7"."rank" - (
    CAST(LENGTH("t7"."company") AS BIGINT) * 4294967296
  ) AS "company_order",
  "t7"."rank" + (
    CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
  ) AS "address_order",
  "t7"."rank" + (
    CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
  ) AS "city_order",
  "t7"."rank" + (
    CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
  ) AS "postal_code_order",
  "t7"."rank" - (
    "t7"."industry_votes" * 4294967296
  ) AS "industry_order",
  "t7"."address_differs"
  AND (
    "t7"."address" IS NULL
  )
  AND (
    IFF(
      (
        (
          "t7"."postal_code" IS NOT NULL
        )
        OR (
          "t7"."city" IS NOT NULL
        )
        OR (
          "t7"."address" IS NOT NULL
        )
      )
      AND NOT (
        "t7"."source" IN ('perspective')
      ),
      "t7"."rank" + (
        CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
      ),
      NULL
    ) = MIN(
      IFF(
        (
          (
            "t7"."postal_code" IS NOT NULL
          )
          OR (
            "t7"."city" IS NOT NULL
          )
          OR (
            "t7"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t7"."source" IN ('perspective')
        ),
        "t7"."rank" + (
          CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) OVER (
      PARTITION BY "t7"."golden_key"
      ORDER BY NULL ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
  ) AS "address_absent",
  "t7"."city_differs"
  AND (
    "t7"."city" IS NULL
  )
  AND (
    IFF(
      (
        (
          "t7"."postal_code" IS NOT NULL
        )
        OR (
          "t7"."city" IS NOT NULL
        )
        OR (
          "t7"."address" IS NOT NULL
        )
      )
      AND NOT (
        "t7"."source" IN ('perspective')
      ),
      "t7"."rank" + (
        CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
      ),
      NULL
    ) = MIN(
      IFF(
        (
          (
            "t7"."postal_code" IS NOT NULL
          )
          OR (
            "t7"."city" IS NOT NULL
          )
          OR (
            "t7"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t7"."source" IN ('perspective')
        ),
        "t7"."rank" + (
          CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) OVER (
      PARTITION BY "t7"."golden_key"
      ORDER BY NULL ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
  ) AS "city_absent",
  "t7"."postal_code_differs"
  AND (
    "t7"."postal_code" IS NULL
  )
  AND (
    IFF(
      (
        (
          "t7"."postal_code" IS NOT NULL
        )
        OR (
          "t7"."city" IS NOT NULL
        )
        OR (
          "t7"."address" IS NOT NULL
        )
      )
      AND NOT (
        "t7"."source" IN ('perspective')
      ),
      "t7"."rank" + (
        CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
      ),
      NULL
    ) = MIN(
      IFF(
        (
          (
            "t7"."postal_code" IS NOT NULL
          )
          OR (
            "t7"."city" IS NOT NULL
          )
          OR (
            "t7"."address" IS NOT NULL
          )
        )
        AND NOT (
          "t7"."source" IN ('perspective')
        ),
        "t7"."rank" + (
          CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) OVER (
      PARTITION BY "t7"."golden_key"
      ORDER BY NULL ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
  ) AS "postal_code_absent"
FROM (
  SELECT
    "t3"."source",
    "t3"."source_scope",
    "t3"."source_id",
    "t3"."email",
    "t3"."email_key",
    "t3"."first_name",
    "t3"."last_name",
    "t3"."phone",
    "t3"."company",
    "t3"."title",
    "t3"."website",
    "t3"."address",
    "t3"."city",
    "t3"."state",
    "t3"."postal_code",
    "t3"."country",
    "t3"."industry",
    "t3"."status",
    "t3"."opted_out",
    "t3"."bounced",
    "t3"."created_at",
    "t3"."updated_at",
    "t3"."properties",
    "t3"."golden_key",
    "t3"."rank",
    "t3"."member_count",
    "t3"."rank_newest",
    "t3"."industry_votes",
    "t6"."first_name_differs",
    "t6"."last_name_differs",
    "t6"."phone_differs",
    "t6"."company_differs",
    "t6"."title_differs",
    "t6"."website_differs",
    "t6"."address_differs",
    "t6"."city_differs",
    "t6"."state_differs",
    "t6"."postal_code_differs",
    "t6"."country_differs",
    "t6"."industry_differs",
    "t6"."status_differs"
  FROM "t1" AS "t3"
  INNER JOIN (
    SELECT
      *
    FROM (
      SELECT
        "t2"."golden_key",
        MIN(IFF("t2"."first_name" IS NOT NULL, "t2"."first_name", NULL)) <> MAX(IFF("t2"."first_name" IS NOT NULL, "t2"."first_name", NULL)) AS "first_name_differs",
        MIN(IFF("t2"."last_name" IS NOT NULL, "t2"."last_name", NULL)) <> MAX(IFF("t2"."last_name" IS NOT NULL, "t2"."last_name", NULL)) AS "last_name_differs",
        MIN(IFF("t2"."phone" IS NOT NULL, "t2"."phone", NULL)) <> MAX(IFF("t2"."phone" IS NOT NULL, "t2"."phone", NULL)) AS "phone_differs",
        MIN(
          IFF(
            (
              "t2"."company" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."company",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              "t2"."company" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."company",
            NULL
          )
        ) AS "company_differs",
        MIN(
          IFF(
            (
              "t2"."title" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."title",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              "t2"."title" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."title",
            NULL
          )
        ) AS "title_differs",
        MIN(
          IFF(
            (
              "t2"."website" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."website",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              "t2"."website" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."website",
            NULL
          )
        ) AS "website_differs",
        MIN(
          IFF(
            (
              (
                "t2"."postal_code" IS NOT NULL
              )
              OR (
                "t2"."city" IS NOT NULL
              )
              OR (
                "t2"."address" IS NOT NULL
              )
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."address",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              (
                "t2"."postal_code" IS NOT NULL
              )
              OR (
                "t2"."city" IS NOT NULL
              )
              OR (
                "t2"."address" IS NOT NULL
              )
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."address",
            NULL
          )
        ) AS "address_differs",
        MIN(
          IFF(
            (
              (
                "t2"."postal_code" IS NOT NULL
              )
              OR (
                "t2"."city" IS NOT NULL
              )
              OR (
                "t2"."address" IS NOT NULL
              )
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."city",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              (
                "t2"."postal_code" IS NOT NULL
              )
              OR (
                "t2"."city" IS NOT NULL
              )
              OR (
                "t2"."address" IS NOT NULL
              )
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."city",
            NULL
          )
        ) AS "city_differs",
        MIN(
          IFF(
            (
              "t2"."state" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."state",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              "t2"."state" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."state",
            NULL
          )
        ) AS "state_differs",
        MIN(
          IFF(
            (
              (
                "t2"."postal_code" IS NOT NULL
              )
              OR (
                "t2"."city" IS NOT NULL
              )
              OR (
                "t2"."address" IS NOT NULL
              )
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."postal_code",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              (
                "t2"."postal_code" IS NOT NULL
              )
              OR (
                "t2"."city" IS NOT NULL
              )
              OR (
                "t2"."address" IS NOT NULL
              )
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."postal_code",
            NULL
          )
        ) AS "postal_code_differs",
        MIN(
          IFF(
            (
              "t2"."country" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."country",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              "t2"."country" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."country",
            NULL
          )
        ) AS "country_differs",
        MIN(
          IFF(
            (
              "t2"."industry" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."industry",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              "t2"."industry" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."industry",
            NULL
          )
        ) AS "industry_differs",
        MIN(
          IFF(
            (
              "t2"."status" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."status",
            NULL
          )
        ) <> MAX(
          IFF(
            (
              "t2"."status" IS NOT NULL
            ) AND NOT (
              "t2"."source" IN ('perspective')
            ),
            "t2"."status",
            NULL
          )
        ) AS "status_differs"
      FROM "t1" AS "t2"
      GROUP BY
        1
    ) AS "t4"
    WHERE
      "t4"."first_name_differs"
      OR "t4"."last_name_differs"
      OR "t4"."phone_differs"
      OR "t4"."company_differs"
      OR "t4"."title_differs"
      OR "t4"."website_differs"
      OR "t4"."address_differs"
      OR "t4"."city_differs"
      OR "t4"."state_differs"
      OR "t4"."postal_code_differs"
      OR "t4"."country_differs"
      OR "t4"."industry_differs"
      OR "t4"."status_differs"
  ) AS "t6"
    ON "t3"."golden_key" = "t6"."golden_key"
) AS "t7";

-- conflicts
SELECT
  "t3"."golden_key" AS "email_key",
  "t3"."field",
  CAST(GET(GET(ARRAY_SORT("t3"."candidates"), 0), 'value') AS VARCHAR) AS "winner",
  CAST(GET(GET(ARRAY_SORT("t3"."candidates"), 0), 'source') AS VARCHAR) AS "winner_source",
  CAST(GET(GET(ARRAY_SORT("t3"."candidates"), 0), 'source_scope') AS VARCHAR) AS "winner_scope",
  CAST(GET(GET(ARRAY_SORT("t3"."candidates"), 0), 'source_id') AS VARCHAR) AS "winner_id",
  CASE
    WHEN "t3"."field" = 'phone'
    THEN 'newest'
    WHEN "t3"."field" = 'company'
    THEN 'longest'
    WHEN "t3"."field" = 'address'
    THEN 'group'
    WHEN "t3"."field" = 'city'
    THEN 'group'
    WHEN "t3"."field" = 'postal_code'
    THEN 'group'
    WHEN "t3"."field" = 'industry'
    THEN 'most_common'
    ELSE 'priority'
  END AS "rule",
  ARRAY_SORT("t3"."candidates") AS "candidates"
FROM (
  SELECT
    "t2"."golden_key",
    "t2"."field",
    ARRAY_AGG(
      OBJECT_CONSTRUCT_KEEP_NULL(
        'place',
        "t2"."place",
        'source',
        "t2"."source",
        'source_scope',
        "t2"."source_scope",
        'source_id',
        "t2"."source_id",
        'updated_at',
        "t2"."updated_at",
        'value',
        "t2"."value"
      )
    ) AS "candidates"
  FROM (
    SELECT
      "t1"."source",
      "t1"."source_scope",
      "t1"."source_id",
      "t1"."email",
      "t1"."email_key",
      "t1"."opted_out",
      "t1"."bounced",
      "t1"."created_at",
      "t1"."updated_at",
      "t1"."properties",
      "t1"."golden_key",
      "t1"."rank",
      "t1"."member_count",
      "t1"."rank_newest",
      "t1"."industry_votes",
      "t1"."first_name_differs",
      "t1"."last_name_differs",
      "t1"."phone_differs",
      "t1"."company_differs",
      "t1"."title_differs",
      "t1"."website_differs",
      "t1"."address_differs",
      "t1"."city_differs",
      "t1"."state_differs",
      "t1"."postal_code_differs",
      "t1"."country_differs",
      "t1"."industry_differs",
      "t1"."status_differs",
      "t1"."phone_order",
      "t1"."company_order",
      "t1"."address_order",
      "t1"."city_order",
      "t1"."postal_code_order",
      "t1"."industry_order",
      "t1"."address_absent",
      "t1"."city_absent",
      "t1"."postal_code_absent",
      CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) AS "field",
      CAST(GET("t1"."__pivoted__", 'value') AS VARCHAR) AS "value",
      CASE
        WHEN CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) = 'phone'
        THEN "t1"."phone_order"
        WHEN CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) = 'company'
        THEN "t1"."company_order"
        WHEN CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) = 'address'
        THEN "t1"."address_order"
        WHEN CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) = 'city'
        THEN "t1"."city_order"
        WHEN CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) = 'postal_code'
        THEN "t1"."postal_code_order"
        WHEN CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) = 'industry'
        THEN "t1"."industry_order"
        ELSE "t1"."rank"
      END AS "place"
    FROM (
      SELECT
        "t0"."source",
        "t0"."source_scope",
        "t0"."source_id",
        "t0"."email",
        "t0"."email_key",
        "t0"."opted_out",
        "t0"."bounced",
        "t0"."created_at",
        "t0"."updated_at",
        "t0"."properties",
        "t0"."golden_key",
        "t0"."rank",
        "t0"."member_count",
        "t0"."rank_newest",
        "t0"."industry_votes",
        "t0"."first_name_differs",
        "t0"."last_name_differs",
        "t0"."phone_differs",
        "t0"."company_differs",
        "t0"."title_differs",
        "t0"."website_differs",
        "t0"."address_differs",
        "t0"."city_differs",
        "t0"."state_differs",
        "t0"."postal_code_differs",
        "t0"."country_differs",
        "t0"."industry_differs",
        "t0"."status_differs",
        "t0"."phone_order",
        "t0"."company_order",
        "t0"."address_order",
        "t0"."city_order",
        "t0"."postal_code_order",
        "t0"."industry_order",
        "t0"."address_absent",
        "t0"."city_absent",
        "t0"."postal_code_absent",
        CAST(NULLIF(IFF(_u.pos = _u_2.pos_2, _u_2."__pivoted__", NULL), '') AS OBJECT) AS "__pivoted__"
      FROM "disputed" AS "t0"
      CROSS JOIN TABLE(FLATTEN(INPUT => ARRAY_GENERATE_RANGE(
        0,
        (
          GREATEST(
            ARRAY_SIZE(
              SPLIT(
                ARRAY_TO_STRING(
                  NULLIF(
                    [
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'first_name', 'value', "t0"."first_name"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'last_name', 'value', "t0"."last_name"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'phone', 'value', "t0"."phone"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'company', 'value', "t0"."company"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'title', 'value', "t0"."title"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'website', 'value', "t0"."website"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'address', 'value', "t0"."address"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'city', 'value', "t0"."city"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'state', 'value', "t0"."state"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'postal_code', 'value', "t0"."postal_code"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'country', 'value', "t0"."country"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'industry', 'value', "t0"."industry"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'status', 'value', "t0"."status")
                    ],
                    []
                  ),
                  'made_up'
                ),
                'made_up'
              )
            )
          ) - 1
        ) + 1
      ))) AS _u(seq, key, path, index, pos, this)
      CROSS JOIN TABLE(FLATTEN(INPUT => SPLIT(
        ARRAY_TO_STRING(
          NULLIF(
            [
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'first_name', 'value', "t0"."first_name"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'last_name', 'value', "t0"."last_name"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'phone', 'value', "t0"."phone"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'company', 'value', "t0"."company"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'title', 'value', "t0"."title"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'website', 'value', "t0"."website"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'address', 'value', "t0"."address"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'city', 'value', "t0"."city"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'state', 'value', "t0"."state"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'postal_code', 'value', "t0"."postal_code"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'country', 'value', "t0"."country"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'industry', 'value', "t0"."industry"),
              OBJECT_CONSTRUCT_KEEP_NULL('field', 'status', 'value', "t0"."status")
            ],
            []
          ),
          'made_up'
        ),
        'made_up'
      ))) AS _u_2(seq, key, path, pos_2, "__pivoted__", this)
      WHERE
        _u.pos = _u_2.pos_2
        OR (
          _u.pos > (
            ARRAY_SIZE(
              SPLIT(
                ARRAY_TO_STRING(
                  NULLIF(
                    [
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'first_name', 'value', "t0"."first_name"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'last_name', 'value', "t0"."last_name"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'phone', 'value', "t0"."phone"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'company', 'value', "t0"."company"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'title', 'value', "t0"."title"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'website', 'value', "t0"."website"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'address', 'value', "t0"."address"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'city', 'value', "t0"."city"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'state', 'value', "t0"."state"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'postal_code', 'value', "t0"."postal_code"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'country', 'value', "t0"."country"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'industry', 'value', "t0"."industry"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'status', 'value', "t0"."status")
                    ],
                    []
                  ),
                  'made_up'
                ),
                'made_up'
              )
            ) - 1
          )
          AND _u_2.pos_2 = (
            ARRAY_SIZE(
              SPLIT(
                ARRAY_TO_STRING(
                  NULLIF(
                    [
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'first_name', 'value', "t0"."first_name"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'last_name', 'value', "t0"."last_name"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'phone', 'value', "t0"."phone"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'company', 'value', "t0"."company"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'title', 'value', "t0"."title"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'website', 'value', "t0"."website"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'address', 'value', "t0"."address"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'city', 'value', "t0"."city"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'state', 'value', "t0"."state"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'postal_code', 'value', "t0"."postal_code"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'country', 'value', "t0"."country"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'industry', 'value', "t0"."industry"),
                      OBJECT_CONSTRUCT_KEEP_NULL('field', 'status', 'value', "t0"."status")
                    ],
                    []
                  ),
                  'made_up'
                ),
                'made_up'
              )
            ) - 1
          )
        )
    ) AS "t1"
    WHERE
      (
        CAST(GET("t1"."__pivoted__", 'value') AS VARCHAR) IS NOT NULL
      )
      OR (
        (
          CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) = 'address'
        )
        AND "t1"."address_absent"
      )
      OR (
        (
          CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) = 'city'
        )
        AND "t1"."city_absent"
      )
      OR (
        (
          CAST(GET("t1"."__pivoted__", 'field') AS VARCHAR) = 'postal_code'
        )
        AND "t1"."postal_code_absent"
      )
  ) AS "t2"
  GROUP BY
    1,
    2
) AS "t3";
