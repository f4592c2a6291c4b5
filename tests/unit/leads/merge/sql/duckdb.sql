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
      END ASC, "t1"."updated_at" DESC, "t1"."source" ASC, "t1"."source_scope" ASC, "t1"."source_id" ASC, COALESCE("t1"."email", '􏿿') || '' || COALESCE("t1"."first_name", '􏿿') || '' || COALESCE("t1"."last_name", '􏿿') || '' || COALESCE("t1"."phone", '􏿿') || '' || COALESCE("t1"."company", '􏿿') || '' || COALESCE("t1"."title", '􏿿') || '' || COALESCE("t1"."website", '􏿿') || '' || COALESCE("t1"."address", '􏿿') || '' || COALESCE("t1"."city", '􏿿') || '' || COALESCE("t1"."state", '􏿿') || '' || COALESCE("t1"."postal_code", '􏿿') || '' || COALESCE("t1"."country", '􏿿') || '' || COALESCE("t1"."industry", '􏿿') || '' || COALESCE("t1"."status", '􏿿') || '' || COALESCE("t1"."properties", '􏿿') ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) - 1 AS "rank",
    COUNT(*) OVER (
      PARTITION BY "t1"."person"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "member_count",
    ROW_NUMBER() OVER (
      PARTITION BY "t1"."person"
      ORDER BY "t1"."updated_at" DESC, CASE
        WHEN "t1"."source" = 'hubspot'
        THEN 0
        WHEN "t1"."source" = 'persistiq'
        THEN 1
        ELSE 2
      END ASC, "t1"."source" ASC, "t1"."source_scope" ASC, "t1"."source_id" ASC, COALESCE("t1"."email", '􏿿') || '' || COALESCE("t1"."first_name", '􏿿') || '' || COALESCE("t1"."last_name", '􏿿') || '' || COALESCE("t1"."phone", '􏿿') || '' || COALESCE("t1"."company", '􏿿') || '' || COALESCE("t1"."title", '􏿿') || '' || COALESCE("t1"."website", '􏿿') || '' || COALESCE("t1"."address", '􏿿') || '' || COALESCE("t1"."city", '􏿿') || '' || COALESCE("t1"."state", '􏿿') || '' || COALESCE("t1"."postal_code", '􏿿') || '' || COALESCE("t1"."country", '􏿿') || '' || COALESCE("t1"."industry", '􏿿') || '' || COALESCE("t1"."status", '􏿿') || '' || COALESCE("t1"."properties", '􏿿') ASC
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) - 1 AS "rank_newest",
    COUNT("t1"."industry") OVER (
      PARTITION BY "t1"."person", "t1"."industry"
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
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
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
  "t2"."member_count",
  "t2"."lineage"
FROM (
  SELECT
    "t1"."golden_key",
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
    "t1"."email",
    "t1"."created_at",
    "t1"."updated_at",
    CASE
      WHEN ARRAY_LENGTH(
        LIST_APPLY(
          LIST_SORT("t1"."told"),
          LAMBDA __ibis_param_told__ : (
            __ibis_param_told__
          )."properties"
        )
      ) > 0
      THEN WINNER_PROPERTIES_made_up(
        CASE
          WHEN CAST([COALESCE("t1"."properties", '{}')] AS TEXT[]) IS NULL
          OR LIST_APPLY(
            LIST_SORT("t1"."told"),
            LAMBDA __ibis_param_told__ : (
              __ibis_param_told__
            )."properties"
          ) IS NULL
          THEN NULL
          ELSE LIST_CONCAT(
            CAST([COALESCE("t1"."properties", '{}')] AS TEXT[]),
            LIST_APPLY(
              LIST_SORT("t1"."told"),
              LAMBDA __ibis_param_told__ : (
                __ibis_param_told__
              )."properties"
            )
          )
        END
      )
      ELSE "t1"."properties"
    END AS "properties",
    "t1"."member_count",
    "t1"."told",
    "t1"."first_name_from",
    "t1"."last_name_from",
    "t1"."phone_from",
    "t1"."company_from",
    "t1"."title_from",
    "t1"."website_from",
    "t1"."address_from",
    "t1"."city_from",
    "t1"."state_from",
    "t1"."postal_code_from",
    "t1"."country_from",
    "t1"."industry_from",
    "t1"."status_from",
    'golden' AS "source",
    '' AS "source_scope",
    "t1"."golden_key" AS "source_id",
    "t1"."golden_key" AS "email_key",
    {'first_name': "t1"."first_name_from", 'last_name': "t1"."last_name_from", 'phone': "t1"."phone_from", 'company': "t1"."company_from", 'title': "t1"."title_from", 'website': "t1"."website_from", 'address': "t1"."address_from", 'city': "t1"."city_from", 'state': "t1"."state_from", 'postal_code': "t1"."postal_code_from", 'country': "t1"."country_from", 'industry': "t1"."industry_from", 'status': "t1"."status_from"} AS "lineage"
  FROM (
    SELECT
      "t0"."golden_key",
      ARG_MIN("t0"."first_name", "t0"."rank") AS "first_name",
      ARG_MIN("t0"."last_name", "t0"."rank") AS "last_name",
      ARG_MIN("t0"."phone", "t0"."rank_newest") AS "phone",
      ARG_MIN(
        "t0"."company",
        "t0"."rank" - (
          CAST(LENGTH("t0"."company") AS BIGINT) * 4294967296
        )
      ) FILTER(WHERE
        (
          "t0"."company" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "company",
      ARG_MIN("t0"."title", "t0"."rank") FILTER(WHERE
        (
          "t0"."title" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "title",
      ARG_MIN("t0"."website", "t0"."rank") FILTER(WHERE
        (
          "t0"."website" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "website",
      FIRST(
        "t0"."address" ORDER BY "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        )
      ) FILTER(WHERE
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
        )) AS "address",
      FIRST(
        "t0"."city" ORDER BY "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        )
      ) FILTER(WHERE
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
        )) AS "city",
      ARG_MIN("t0"."state", "t0"."rank") FILTER(WHERE
        (
          "t0"."state" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "state",
      FIRST(
        "t0"."postal_code" ORDER BY "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        )
      ) FILTER(WHERE
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
        )) AS "postal_code",
      ARG_MIN("t0"."country", "t0"."rank") FILTER(WHERE
        (
          "t0"."country" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "country",
      ARG_MIN("t0"."industry", "t0"."rank" - (
        "t0"."industry_votes" * 4294967296
      )) FILTER(WHERE
        (
          "t0"."industry" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "industry",
      ARG_MIN("t0"."status", "t0"."rank") FILTER(WHERE
        (
          "t0"."status" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "status",
      BOOL_OR(CAST("t0"."opted_out" AS BOOLEAN)) AS "opted_out",
      BOOL_OR(CAST("t0"."bounced" AS BOOLEAN)) AS "bounced",
      ARG_MIN("t0"."email", "t0"."rank") FILTER(WHERE
        "t0"."email_key" IS NOT NULL) AS "email",
      MIN("t0"."created_at") AS "created_at",
      MAX("t0"."updated_at") AS "updated_at",
      ARG_MIN("t0"."properties", "t0"."rank") AS "properties",
      COUNT(*) AS "member_count",
      ARRAY_AGG({'rank': "t0"."rank", 'properties': "t0"."properties"}) FILTER(WHERE
        {'rank': "t0"."rank", 'properties': "t0"."properties"} IS NOT NULL
        AND CONTAINS("t0"."properties", '"email_aliases"')) AS "told",
      MIN("t0"."rank") FILTER(WHERE
        "t0"."first_name" IS NOT NULL) AS "first_name_from",
      MIN("t0"."rank") FILTER(WHERE
        "t0"."last_name" IS NOT NULL) AS "last_name_from",
      FIRST("t0"."rank" ORDER BY "t0"."rank_newest") FILTER(WHERE
        "t0"."phone" IS NOT NULL) AS "phone_from",
      FIRST(
        "t0"."rank" ORDER BY "t0"."rank" - (
          CAST(LENGTH("t0"."company") AS BIGINT) * 4294967296
        )
      ) FILTER(WHERE
        (
          "t0"."company" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "company_from",
      MIN("t0"."rank") FILTER(WHERE
        (
          "t0"."title" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "title_from",
      MIN("t0"."rank") FILTER(WHERE
        (
          "t0"."website" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "website_from",
      FIRST(
        CASE WHEN "t0"."address" IS NOT NULL THEN "t0"."rank" ELSE NULL END ORDER BY "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        )
      ) FILTER(WHERE
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
        )) AS "address_from",
      FIRST(
        CASE WHEN "t0"."city" IS NOT NULL THEN "t0"."rank" ELSE NULL END ORDER BY "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        )
      ) FILTER(WHERE
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
        )) AS "city_from",
      MIN("t0"."rank") FILTER(WHERE
        (
          "t0"."state" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "state_from",
      FIRST(
        CASE WHEN "t0"."postal_code" IS NOT NULL THEN "t0"."rank" ELSE NULL END ORDER BY "t0"."rank" + (
          CAST("t0"."postal_code" IS NULL AS BIGINT) * 4294967296
        )
      ) FILTER(WHERE
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
        )) AS "postal_code_from",
      MIN("t0"."rank") FILTER(WHERE
        (
          "t0"."country" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "country_from",
      FIRST("t0"."rank" ORDER BY "t0"."rank" - (
        "t0"."industry_votes" * 4294967296
      )) FILTER(WHERE
        (
          "t0"."industry" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "industry_from",
      MIN("t0"."rank") FILTER(WHERE
        (
          "t0"."status" IS NOT NULL
        ) AND NOT (
          "t0"."source" IN ('perspective')
        )) AS "status_from"
    FROM "ranked" AS "t0"
    GROUP BY
      1
  ) AS "t1"
) AS "t2";

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
  CASE
    WHEN "t7"."first_name_differs" AND (
      "t7"."first_name" IS NOT NULL
    )
    THEN "t7"."first_name"
    ELSE NULL
  END AS "first_name",
  CASE
    WHEN "t7"."last_name_differs" AND (
      "t7"."last_name" IS NOT NULL
    )
    THEN "t7"."last_name"
    ELSE NULL
  END AS "last_name",
  CASE
    WHEN "t7"."phone_differs" AND (
      "t7"."phone" IS NOT NULL
    )
    THEN "t7"."phone"
    ELSE NULL
  END AS "phone",
  CASE
    WHEN "t7"."company_differs"
    AND (
      (
        "t7"."company" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    )
    THEN "t7"."company"
    ELSE NULL
  END AS "company",
  CASE
    WHEN "t7"."title_differs"
    AND (
      (
        "t7"."title" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    )
    THEN "t7"."title"
    ELSE NULL
  END AS "title",
  CASE
    WHEN "t7"."website_differs"
    AND (
      (
        "t7"."website" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    )
    THEN "t7"."website"
    ELSE NULL
  END AS "website",
  CASE
    WHEN "t7"."address_differs"
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
    )
    THEN "t7"."address"
    ELSE NULL
  END AS "address",
  CASE
    WHEN "t7"."city_differs"
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
    )
    THEN "t7"."city"
    ELSE NULL
  END AS "city",
  CASE
    WHEN "t7"."state_differs"
    AND (
      (
        "t7"."state" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    )
    THEN "t7"."state"
    ELSE NULL
  END AS "state",
  CASE
    WHEN "t7"."postal_code_differs"
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
    )
    THEN "t7"."postal_code"
    ELSE NULL
  END AS "postal_code",
  CASE
    WHEN "t7"."country_differs"
    AND (
      (
        "t7"."country" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    )
    THEN "t7"."country"
    ELSE NULL
  END AS "country",
  CASE
    WHEN "t7"."industry_differs"
    AND (
      (
        "t7"."industry" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    )
    THEN "t7"."industry"
    ELSE NULL
  END AS "industry",
  CASE
    WHEN "t7"."status_differs"
    AND (
      (
        "t7"."status" IS NOT NULL
      ) AND NOT (
        "t7"."source" IN ('perspective')
      )
    )
    THEN "t7"."status"
    ELSE NULL
  END AS "status",
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
    CASE
      WHEN (
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
      THEN "t7"."rank" + (
        CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
      )
      ELSE NULL
    END = MIN(
      CASE
        WHEN (
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
        THEN "t7"."rank" + (
          CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
        )
        ELSE NULL
      END
    ) OVER (
      PARTITION BY "t7"."golden_key"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
  ) AS "address_absent",
  "t7"."city_differs"
  AND (
    "t7"."city" IS NULL
  )
  AND (
    CASE
      WHEN (
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
      THEN "t7"."rank" + (
        CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
      )
      ELSE NULL
    END = MIN(
      CASE
        WHEN (
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
        THEN "t7"."rank" + (
          CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
        )
        ELSE NULL
      END
    ) OVER (
      PARTITION BY "t7"."golden_key"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
  ) AS "city_absent",
  "t7"."postal_code_differs"
  AND (
    "t7"."postal_code" IS NULL
  )
  AND (
    CASE
      WHEN (
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
      THEN "t7"."rank" + (
        CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
      )
      ELSE NULL
    END = MIN(
      CASE
        WHEN (
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
        THEN "t7"."rank" + (
          CAST("t7"."postal_code" IS NULL AS BIGINT) * 4294967296
        )
        ELSE NULL
      END
    ) OVER (
      PARTITION BY "t7"."golden_key"
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
        MIN(
          CASE
            WHEN (
              "t2"."first_name" IS NOT NULL
            ) AND (
              "t2"."first_name" IS NOT NULL
            )
            THEN HASH("t2"."first_name")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."first_name" IS NOT NULL
            ) AND (
              "t2"."first_name" IS NOT NULL
            )
            THEN HASH("t2"."first_name")
            ELSE NULL
          END
        ) AS "first_name_differs",
        MIN(
          CASE
            WHEN (
              "t2"."last_name" IS NOT NULL
            ) AND (
              "t2"."last_name" IS NOT NULL
            )
            THEN HASH("t2"."last_name")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."last_name" IS NOT NULL
            ) AND (
              "t2"."last_name" IS NOT NULL
            )
            THEN HASH("t2"."last_name")
            ELSE NULL
          END
        ) AS "last_name_differs",
        MIN(
          CASE
            WHEN (
              "t2"."phone" IS NOT NULL
            ) AND (
              "t2"."phone" IS NOT NULL
            )
            THEN HASH("t2"."phone")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."phone" IS NOT NULL
            ) AND (
              "t2"."phone" IS NOT NULL
            )
            THEN HASH("t2"."phone")
            ELSE NULL
          END
        ) AS "phone_differs",
        MIN(
          CASE
            WHEN (
              "t2"."company" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."company" IS NOT NULL
            )
            THEN HASH("t2"."company")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."company" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."company" IS NOT NULL
            )
            THEN HASH("t2"."company")
            ELSE NULL
          END
        ) AS "company_differs",
        MIN(
          CASE
            WHEN (
              "t2"."title" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."title" IS NOT NULL
            )
            THEN HASH("t2"."title")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."title" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."title" IS NOT NULL
            )
            THEN HASH("t2"."title")
            ELSE NULL
          END
        ) AS "title_differs",
        MIN(
          CASE
            WHEN (
              "t2"."website" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."website" IS NOT NULL
            )
            THEN HASH("t2"."website")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."website" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."website" IS NOT NULL
            )
            THEN HASH("t2"."website")
            ELSE NULL
          END
        ) AS "website_differs",
        MIN(
          CASE
            WHEN (
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
            )
            AND (
              "t2"."address" IS NOT NULL
            )
            THEN HASH("t2"."address")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
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
            )
            AND (
              "t2"."address" IS NOT NULL
            )
            THEN HASH("t2"."address")
            ELSE NULL
          END
        ) AS "address_differs",
        MIN(
          CASE
            WHEN (
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
            )
            AND (
              "t2"."city" IS NOT NULL
            )
            THEN HASH("t2"."city")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
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
            )
            AND (
              "t2"."city" IS NOT NULL
            )
            THEN HASH("t2"."city")
            ELSE NULL
          END
        ) AS "city_differs",
        MIN(
          CASE
            WHEN (
              "t2"."state" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."state" IS NOT NULL
            )
            THEN HASH("t2"."state")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."state" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."state" IS NOT NULL
            )
            THEN HASH("t2"."state")
            ELSE NULL
          END
        ) AS "state_differs",
        MIN(
          CASE
            WHEN (
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
            )
            AND (
              "t2"."postal_code" IS NOT NULL
            )
            THEN HASH("t2"."postal_code")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
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
            )
            AND (
              "t2"."postal_code" IS NOT NULL
            )
            THEN HASH("t2"."postal_code")
            ELSE NULL
          END
        ) AS "postal_code_differs",
        MIN(
          CASE
            WHEN (
              "t2"."country" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."country" IS NOT NULL
            )
            THEN HASH("t2"."country")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."country" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."country" IS NOT NULL
            )
            THEN HASH("t2"."country")
            ELSE NULL
          END
        ) AS "country_differs",
        MIN(
          CASE
            WHEN (
              "t2"."industry" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."industry" IS NOT NULL
            )
            THEN HASH("t2"."industry")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."industry" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."industry" IS NOT NULL
            )
            THEN HASH("t2"."industry")
            ELSE NULL
          END
        ) AS "industry_differs",
        MIN(
          CASE
            WHEN (
              "t2"."status" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."status" IS NOT NULL
            )
            THEN HASH("t2"."status")
            ELSE NULL
          END
        ) <> MAX(
          CASE
            WHEN (
              "t2"."status" IS NOT NULL
            )
            AND NOT (
              "t2"."source" IN ('perspective')
            )
            AND (
              "t2"."status" IS NOT NULL
            )
            THEN HASH("t2"."status")
            ELSE NULL
          END
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
  "t4"."golden_key" AS "email_key",
  "t4"."field",
  (
    LIST_EXTRACT("t4"."candidates", 1)
  )."value" AS "winner",
  (
    LIST_EXTRACT("t4"."candidates", 1)
  )."source" AS "winner_source",
  (
    LIST_EXTRACT("t4"."candidates", 1)
  )."source_scope" AS "winner_scope",
  (
    LIST_EXTRACT("t4"."candidates", 1)
  )."source_id" AS "winner_id",
  CASE
    WHEN "t4"."field" = 'phone'
    THEN 'newest'
    WHEN "t4"."field" = 'company'
    THEN 'longest'
    WHEN "t4"."field" = 'address'
    THEN 'group'
    WHEN "t4"."field" = 'city'
    THEN 'group'
    WHEN "t4"."field" = 'postal_code'
    THEN 'group'
    WHEN "t4"."field" = 'industry'
    THEN 'most_common'
    ELSE CASE
      WHEN CASE
        WHEN (
          LIST_EXTRACT("t4"."candidates", 1)
        )."source" = 'hubspot'
        THEN 0
        WHEN (
          LIST_EXTRACT("t4"."candidates", 1)
        )."source" = 'persistiq'
        THEN 1
        ELSE 2
      END <> CASE
        WHEN (
          LIST_EXTRACT(
            LIST_FILTER(
              "t4"."candidates",
              LAMBDA __ibis_param_candidate__ : NOT (
                (
                  __ibis_param_candidate__
                )."value" IS NOT DISTINCT FROM (
                  LIST_EXTRACT("t4"."candidates", 1)
                )."value"
              )
            ),
            1
          )
        )."source" = 'hubspot'
        THEN 0
        WHEN (
          LIST_EXTRACT(
            LIST_FILTER(
              "t4"."candidates",
              LAMBDA __ibis_param_candidate__ : NOT (
                (
                  __ibis_param_candidate__
                )."value" IS NOT DISTINCT FROM (
                  LIST_EXTRACT("t4"."candidates", 1)
                )."value"
              )
            ),
            1
          )
        )."source" = 'persistiq'
        THEN 1
        ELSE 2
      END
      THEN 'priority'
      ELSE CASE
        WHEN (
          (
            (
              LIST_EXTRACT("t4"."candidates", 1)
            )."updated_at"
          ) IS NOT NULL
        )
        AND (
          (
            (
              (
                LIST_EXTRACT(
                  LIST_FILTER(
                    "t4"."candidates",
                    LAMBDA __ibis_param_candidate__ : NOT (
                      (
                        __ibis_param_candidate__
                      )."value" IS NOT DISTINCT FROM (
                        LIST_EXTRACT("t4"."candidates", 1)
                      )."value"
                    )
                  ),
                  1
                )
              )."updated_at"
            ) IS NULL
          )
          OR (
            (
              LIST_EXTRACT("t4"."candidates", 1)
            )."updated_at" > (
              LIST_EXTRACT(
                LIST_FILTER(
                  "t4"."candidates",
                  LAMBDA __ibis_param_candidate__ : NOT (
                    (
                      __ibis_param_candidate__
                    )."value" IS NOT DISTINCT FROM (
                      LIST_EXTRACT("t4"."candidates", 1)
                    )."value"
                  )
                ),
                1
              )
            )."updated_at"
          )
        )
        THEN 'newest'
        ELSE 'source'
      END
    END
  END AS "rule",
  "t4"."candidates"
FROM (
  SELECT
    "t3"."golden_key",
    "t3"."field",
    LIST_SORT("t3"."candidates") AS "candidates"
  FROM (
    SELECT
      "t2"."golden_key",
      "t2"."field",
      ARRAY_AGG(
        {'place': "t2"."place", 'source': "t2"."source", 'source_scope': "t2"."source_scope", 'source_id': "t2"."source_id", 'updated_at': "t2"."updated_at", 'value': "t2"."value"}
      ) FILTER(WHERE
        {'place': "t2"."place", 'source': "t2"."source", 'source_scope': "t2"."source_scope", 'source_id': "t2"."source_id", 'updated_at': "t2"."updated_at", 'value': "t2"."value"} IS NOT NULL) AS "candidates"
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
        "t1"."__pivoted__"."field" AS "field",
        "t1"."__pivoted__"."value" AS "value",
        CASE
          WHEN "t1"."__pivoted__"."field" = 'phone'
          THEN "t1"."phone_order"
          WHEN "t1"."__pivoted__"."field" = 'company'
          THEN "t1"."company_order"
          WHEN "t1"."__pivoted__"."field" = 'address'
          THEN "t1"."address_order"
          WHEN "t1"."__pivoted__"."field" = 'city'
          THEN "t1"."city_order"
          WHEN "t1"."__pivoted__"."field" = 'postal_code'
          THEN "t1"."postal_code_order"
          WHEN "t1"."__pivoted__"."field" = 'industry'
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
          UNNEST(
            CAST([
              {'field': 'first_name', 'value': "t0"."first_name"},
              {'field': 'last_name', 'value': "t0"."last_name"},
              {'field': 'phone', 'value': "t0"."phone"},
              {'field': 'company', 'value': "t0"."company"},
              {'field': 'title', 'value': "t0"."title"},
              {'field': 'website', 'value': "t0"."website"},
              {'field': 'address', 'value': "t0"."address"},
              {'field': 'city', 'value': "t0"."city"},
              {'field': 'state', 'value': "t0"."state"},
              {'field': 'postal_code', 'value': "t0"."postal_code"},
              {'field': 'country', 'value': "t0"."country"},
              {'field': 'industry', 'value': "t0"."industry"},
              {'field': 'status', 'value': "t0"."status"}
            ] AS STRUCT("field" TEXT, "value" TEXT)[])
          ) AS "__pivoted__"
        FROM "disputed" AS "t0"
      ) AS "t1"
      WHERE
        (
          (
            "t1"."__pivoted__"."value"
          ) IS NOT NULL
        )
        OR (
          (
            "t1"."__pivoted__"."field" = 'address'
          ) AND "t1"."address_absent"
        )
        OR (
          (
            "t1"."__pivoted__"."field" = 'city'
          ) AND "t1"."city_absent"
        )
        OR (
          (
            "t1"."__pivoted__"."field" = 'postal_code'
          ) AND "t1"."postal_code_absent"
        )
    ) AS "t2"
    GROUP BY
      1,
      2
  ) AS "t3"
) AS "t4";
