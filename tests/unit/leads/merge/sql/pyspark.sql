-- ranked
SELECT
  `t2`.`source`,
  `t2`.`source_scope`,
  `t2`.`source_id`,
  `t2`.`email`,
  `t2`.`email_key`,
  `t2`.`first_name`,
  `t2`.`last_name`,
  `t2`.`phone`,
  `t2`.`company`,
  `t2`.`title`,
  `t2`.`website`,
  `t2`.`address`,
  `t2`.`city`,
  `t2`.`state`,
  `t2`.`postal_code`,
  `t2`.`country`,
  `t2`.`industry`,
  `t2`.`status`,
  `t2`.`opted_out`,
  `t2`.`bounced`,
  `t2`.`created_at`,
  `t2`.`updated_at`,
  `t2`.`properties`,
  `t2`.`person` AS `golden_key`,
  `t2`.`rank`,
  `t2`.`member_count`,
  `t2`.`rank_newest`,
  `t2`.`industry_votes`
FROM (
  SELECT
    `t1`.`source`,
    `t1`.`source_scope`,
    `t1`.`source_id`,
    `t1`.`email`,
    `t1`.`email_key`,
    `t1`.`first_name`,
    `t1`.`last_name`,
    `t1`.`phone`,
    `t1`.`company`,
    `t1`.`title`,
    `t1`.`website`,
    `t1`.`address`,
    `t1`.`city`,
    `t1`.`state`,
    `t1`.`postal_code`,
    `t1`.`country`,
    `t1`.`industry`,
    `t1`.`status`,
    `t1`.`opted_out`,
    `t1`.`bounced`,
    `t1`.`created_at`,
    `t1`.`updated_at`,
    `t1`.`properties`,
    `t1`.`person`,
    ROW_NUMBER() OVER (
      PARTITION BY `t1`.`person`
      ORDER BY CASE
        WHEN `t1`.`source` = 'hubspot'
        THEN 0
        WHEN `t1`.`source` = 'persistiq'
        THEN 1
        ELSE 2
      END ASC NULLS LAST, `t1`.`updated_at` DESC, `t1`.`source` ASC NULLS LAST, `t1`.`source_scope` ASC NULLS LAST, `t1`.`source_id` ASC NULLS LAST, CONCAT(
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
                                                          CONCAT(CONCAT(COALESCE(`t1`.`email`, '􏿿'), '\037'), COALESCE(`t1`.`first_name`, '􏿿')),
                                                          '\037'
                                                        ),
                                                        COALESCE(`t1`.`last_name`, '􏿿')
                                                      ),
                                                      '\037'
                                                    ),
                                                    COALESCE(`t1`.`phone`, '􏿿')
                                                  ),
                                                  '\037'
                                                ),
                                                COALESCE(`t1`.`company`, '􏿿')
                                              ),
                                              '\037'
                                            ),
                                            COALESCE(`t1`.`title`, '􏿿')
                                          ),
                                          '\037'
                                        ),
                                        COALESCE(`t1`.`website`, '􏿿')
                                      ),
                                      '\037'
                                    ),
                                    COALESCE(`t1`.`address`, '􏿿')
                                  ),
                                  '\037'
                                ),
                                COALESCE(`t1`.`city`, '􏿿')
                              ),
                              '\037'
                            ),
                            COALESCE(`t1`.`state`, '􏿿')
                          ),
                          '\037'
                        ),
                        COALESCE(`t1`.`postal_code`, '􏿿')
                      ),
                      '\037'
                    ),
                    COALESCE(`t1`.`country`, '􏿿')
                  ),
                  '\037'
                ),
                COALESCE(`t1`.`industry`, '􏿿')
              ),
              '\037'
            ),
            COALESCE(`t1`.`status`, '􏿿')
          ),
          '\037'
        ),
        COALESCE(`t1`.`properties`, '􏿿')
      ) ASC NULLS LAST
    ) - 1 AS `rank`,
    COUNT(*) OVER (
      PARTITION BY `t1`.`person`
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS `member_count`,
    ROW_NUMBER() OVER (
      PARTITION BY `t1`.`person`
      ORDER BY `t1`.`updated_at` DESC, CASE
        WHEN `t1`.`source` = 'hubspot'
        THEN 0
        WHEN `t1`.`source` = 'persistiq'
        THEN 1
        ELSE 2
      END ASC NULLS LAST, `t1`.`source` ASC NULLS LAST, `t1`.`source_scope` ASC NULLS LAST, `t1`.`source_id` ASC NULLS LAST, CONCAT(
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
                                                          CONCAT(CONCAT(COALESCE(`t1`.`email`, '􏿿'), '\037'), COALESCE(`t1`.`first_name`, '􏿿')),
                                                          '\037'
                                                        ),
                                                        COALESCE(`t1`.`last_name`, '􏿿')
                                                      ),
                                                      '\037'
                                                    ),
                                                    COALESCE(`t1`.`phone`, '􏿿')
                                                  ),
                                                  '\037'
                                                ),
                                                COALESCE(`t1`.`company`, '􏿿')
                                              ),
                                              '\037'
                                            ),
                                            COALESCE(`t1`.`title`, '􏿿')
                                          ),
                                          '\037'
                                        ),
                                        COALESCE(`t1`.`website`, '􏿿')
                                      ),
                                      '\037'
                                    ),
                                    COALESCE(`t1`.`address`, '􏿿')
                                  ),
                                  '\037'
                                ),
                                COALESCE(`t1`.`city`, '􏿿')
                              ),
                              '\037'
                            ),
                            COALESCE(`t1`.`state`, '􏿿')
                          ),
                          '\037'
                        ),
                        COALESCE(`t1`.`postal_code`, '􏿿')
                      ),
                      '\037'
                    ),
                    COALESCE(`t1`.`country`, '􏿿')
                  ),
                  '\037'
                ),
                COALESCE(`t1`.`industry`, '􏿿')
              ),
              '\037'
            ),
            COALESCE(`t1`.`status`, '􏿿')
          ),
          '\037'
        ),
        COALESCE(`t1`.`properties`, '􏿿')
      ) ASC NULLS LAST
    ) - 1 AS `rank_newest`,
    COUNT(`t1`.`industry`) OVER (
      PARTITION BY `t1`.`person`, `t1`.`industry`
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS `industry_votes`
  FROM (
    SELECT
      `t0`.`source`,
      `t0`.`source_scope`,
      `t0`.`source_id`,
      `t0`.`email`,
      `t0`.`email_key`,
      `t0`.`first_name`,
      `t0`.`last_name`,
      `t0`.`phone`,
      `t0`.`company`,
      `t0`.`title`,
      `t0`.`website`,
      `t0`.`address`,
      `t0`.`city`,
      `t0`.`state`,
      `t0`.`postal_code`,
      `t0`.`country`,
      `t0`.`industry`,
      `t0`.`status`,
      `t0`.`opted_out`,
      `t0`.`bounced`,
      `t0`.`created_at`,
      `t0`.`updated_at`,
      `t0`.`properties`,
      `t0`.`email_key` AS `person`
    FROM `leads` AS `t0`
    WHERE
      `t0`.`email_key` IS NOT NULL
  ) AS `t1`
) AS `t2`;

-- members
SELECT
  `t4`.`source`,
  `t4`.`source_scope`,
  `t4`.`source_id`,
  `t4`.`rank`,
  `t4`.`updated_at`,
  `t4`.`email_key`,
  `t4`.`address`,
  `t4`.`duplicate`
FROM (
  SELECT
    *
  FROM (
    SELECT
      `t2`.`source`,
      `t2`.`source_scope`,
      `t2`.`source_id`,
      `t2`.`rank`,
      `t2`.`updated_at`,
      `t2`.`member_count`,
      `t2`.`email_key`,
      `t2`.`address`,
      (
        ROW_NUMBER() OVER (
          PARTITION BY `t2`.`email_key`, `t2`.`source`, `t2`.`source_scope`
          ORDER BY `t2`.`rank` ASC NULLS LAST
        ) - 1
      ) > 0 AS `duplicate`
    FROM (
      SELECT
        `t0`.`source`,
        `t0`.`source_scope`,
        `t0`.`source_id`,
        `t0`.`rank`,
        `t0`.`updated_at`,
        `t0`.`member_count`,
        `t0`.`golden_key` AS `email_key`,
        `t0`.`email_key` AS `address`
      FROM `ranked` AS `t0`
      WHERE
        `t0`.`member_count` > 1
    ) AS `t2`
  ) AS `t3`
  UNION ALL
  SELECT
    *
  FROM (
    SELECT
      `t0`.`source`,
      `t0`.`source_scope`,
      `t0`.`source_id`,
      `t0`.`rank`,
      `t0`.`updated_at`,
      `t0`.`member_count`,
      `t0`.`golden_key` AS `email_key`,
      `t0`.`email_key` AS `address`,
      FALSE AS `duplicate`
    FROM `ranked` AS `t0`
    WHERE
      `t0`.`member_count` = 1
  ) AS `t1`
) AS `t4`;

-- golden
SELECT
  `t2`.`source`,
  `t2`.`source_scope`,
  `t2`.`source_id`,
  `t2`.`email`,
  `t2`.`email_key`,
  `t2`.`first_name`,
  `t2`.`last_name`,
  `t2`.`phone`,
  `t2`.`company`,
  `t2`.`title`,
  `t2`.`website`,
  `t2`.`address`,
  `t2`.`city`,
  `t2`.`state`,
  `t2`.`postal_code`,
  `t2`.`country`,
  `t2`.`industry`,
  `t2`.`status`,
  `t2`.`opted_out`,
  `t2`.`bounced`,
  `t2`.`created_at`,
  `t2`.`updated_at`,
  `t2`.`properties`,
  `t2`.`member_count`,
  `t2`.`lineage`
FROM (
  SELECT
    `t1`.`golden_key`,
    `t1`.`first_name`,
    `t1`.`last_name`,
    `t1`.`phone`,
    `t1`.`company`,
    `t1`.`title`,
    `t1`.`website`,
    `t1`.`address`,
    `t1`.`city`,
    `t1`.`state`,
    `t1`.`postal_code`,
    `t1`.`country`,
    `t1`.`industry`,
    `t1`.`status`,
    `t1`.`opted_out`,
    `t1`.`bounced`,
    `t1`.`email`,
    `t1`.`created_at`,
    `t1`.`updated_at`,
    IF(
      SIZE(
        TRANSFORM(ARRAY_SORT(`t1`.`told`), __ibis_param_told__ -> __ibis_param_told__.`properties`)
      ) > 0,
      IBIS_UDF_WINNER_PROPERTIES_made_up(
        CONCAT(
          ARRAY(COALESCE(`t1`.`properties`, '{}')),
          TRANSFORM(ARRAY_SORT(`t1`.`told`), __ibis_param_told__ -> __ibis_param_told__.`properties`)
        )
      ),
      `t1`.`properties`
    ) AS `properties`,
    `t1`.`member_count`,
    `t1`.`told`,
    `t1`.`first_name_from`,
    `t1`.`last_name_from`,
    `t1`.`phone_from`,
    `t1`.`company_from`,
    `t1`.`title_from`,
    `t1`.`website_from`,
    `t1`.`address_from`,
    `t1`.`city_from`,
    `t1`.`state_from`,
    `t1`.`postal_code_from`,
    `t1`.`country_from`,
    `t1`.`industry_from`,
    `t1`.`status_from`,
    'golden' AS `source`,
    '' AS `source_scope`,
    `t1`.`golden_key` AS `source_id`,
    `t1`.`golden_key` AS `email_key`,
    STRUCT(
      `t1`.`first_name_from` AS `first_name`,
      `t1`.`last_name_from` AS `last_name`,
      `t1`.`phone_from` AS `phone`,
      `t1`.`company_from` AS `company`,
      `t1`.`title_from` AS `title`,
      `t1`.`website_from` AS `website`,
      `t1`.`address_from` AS `address`,
      `t1`.`city_from` AS `city`,
      `t1`.`state_from` AS `state`,
      `t1`.`postal_code_from` AS `postal_code`,
      `t1`.`country_from` AS `country`,
      `t1`.`industry_from` AS `industry`,
      `t1`.`status_from` AS `status`
    ) AS `lineage`
  FROM (
    SELECT
      `t0`.`golden_key`,
      MIN_BY(
        IF(`t0`.`first_name` IS NOT NULL, `t0`.`first_name`, NULL),
        IF(`t0`.`first_name` IS NOT NULL, `t0`.`rank`, NULL)
      ) AS `first_name`,
      MIN_BY(
        IF(`t0`.`last_name` IS NOT NULL, `t0`.`last_name`, NULL),
        IF(`t0`.`last_name` IS NOT NULL, `t0`.`rank`, NULL)
      ) AS `last_name`,
      MIN_BY(
        IF(`t0`.`phone` IS NOT NULL, `t0`.`phone`, NULL),
        IF(`t0`.`phone` IS NOT NULL, `t0`.`rank_newest`, NULL)
      ) AS `phone`,
      MIN_BY(
        IF(
          (
            `t0`.`company` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`company`,
          NULL
        ),
        IF(
          (
            `t0`.`company` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` - (
            CAST(LENGTH(`t0`.`company`) AS BIGINT) * 4294967296
          ),
          NULL
        )
      ) AS `company`,
      MIN_BY(
        IF(
          (
            `t0`.`title` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`title`,
          NULL
        ),
        IF(
          (
            `t0`.`title` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `title`,
      MIN_BY(
        IF(
          (
            `t0`.`website` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`website`,
          NULL
        ),
        IF(
          (
            `t0`.`website` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `website`,
      MIN_BY(
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`address`,
          NULL
        ),
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` + (
            CAST(`t0`.`postal_code` IS NULL AS BIGINT) * 4294967296
          ),
          NULL
        )
      ) AS `address`,
      MIN_BY(
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`city`,
          NULL
        ),
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` + (
            CAST(`t0`.`postal_code` IS NULL AS BIGINT) * 4294967296
          ),
          NULL
        )
      ) AS `city`,
      MIN_BY(
        IF(
          (
            `t0`.`state` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`state`,
          NULL
        ),
        IF(
          (
            `t0`.`state` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `state`,
      MIN_BY(
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`postal_code`,
          NULL
        ),
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` + (
            CAST(`t0`.`postal_code` IS NULL AS BIGINT) * 4294967296
          ),
          NULL
        )
      ) AS `postal_code`,
      MIN_BY(
        IF(
          (
            `t0`.`country` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`country`,
          NULL
        ),
        IF(
          (
            `t0`.`country` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `country`,
      MIN_BY(
        IF(
          (
            `t0`.`industry` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`industry`,
          NULL
        ),
        IF(
          (
            `t0`.`industry` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` - (
            `t0`.`industry_votes` * 4294967296
          ),
          NULL
        )
      ) AS `industry`,
      MIN_BY(
        IF(
          (
            `t0`.`status` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`status`,
          NULL
        ),
        IF(
          (
            `t0`.`status` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `status`,
      BOOL_OR(`t0`.`opted_out`) AS `opted_out`,
      BOOL_OR(`t0`.`bounced`) AS `bounced`,
      MIN_BY(
        IF(`t0`.`email_key` IS NOT NULL, `t0`.`email`, NULL),
        IF(`t0`.`email_key` IS NOT NULL, `t0`.`rank`, NULL)
      ) AS `email`,
      MIN(`t0`.`created_at`) AS `created_at`,
      MAX(`t0`.`updated_at`) AS `updated_at`,
      MIN_BY(
        IF(`t0`.`properties` IS NOT NULL, `t0`.`properties`, NULL),
        IF(`t0`.`properties` IS NOT NULL, `t0`.`rank`, NULL)
      ) AS `properties`,
      COUNT(*) AS `member_count`,
      COLLECT_LIST(
        IF(
          CONTAINS(`t0`.`properties`, '"email_aliases"'),
          STRUCT(`t0`.`rank` AS `rank`, `t0`.`properties` AS `properties`),
          NULL
        )
      ) AS `told`,
      MIN(IF(`t0`.`first_name` IS NOT NULL, `t0`.`rank`, NULL)) AS `first_name_from`,
      MIN(IF(`t0`.`last_name` IS NOT NULL, `t0`.`rank`, NULL)) AS `last_name_from`,
      MIN_BY(
        IF(`t0`.`phone` IS NOT NULL, `t0`.`rank`, NULL),
        IF(`t0`.`phone` IS NOT NULL, `t0`.`rank_newest`, NULL)
      ) AS `phone_from`,
      MIN_BY(
        IF(
          (
            `t0`.`company` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        ),
        IF(
          (
            `t0`.`company` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` - (
            CAST(LENGTH(`t0`.`company`) AS BIGINT) * 4294967296
          ),
          NULL
        )
      ) AS `company_from`,
      MIN(
        IF(
          (
            `t0`.`title` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `title_from`,
      MIN(
        IF(
          (
            `t0`.`website` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `website_from`,
      MIN_BY(
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          IF(`t0`.`address` IS NOT NULL, `t0`.`rank`, NULL),
          NULL
        ),
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` + (
            CAST(`t0`.`postal_code` IS NULL AS BIGINT) * 4294967296
          ),
          NULL
        )
      ) AS `address_from`,
      MIN_BY(
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          IF(`t0`.`city` IS NOT NULL, `t0`.`rank`, NULL),
          NULL
        ),
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` + (
            CAST(`t0`.`postal_code` IS NULL AS BIGINT) * 4294967296
          ),
          NULL
        )
      ) AS `city_from`,
      MIN(
        IF(
          (
            `t0`.`state` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `state_from`,
      MIN_BY(
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          IF(`t0`.`postal_code` IS NOT NULL, `t0`.`rank`, NULL),
          NULL
        ),
        IF(
          (
            (
              `t0`.`postal_code` IS NOT NULL
            )
            OR (
              `t0`.`city` IS NOT NULL
            )
            OR (
              `t0`.`address` IS NOT NULL
            )
          )
          AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` + (
            CAST(`t0`.`postal_code` IS NULL AS BIGINT) * 4294967296
          ),
          NULL
        )
      ) AS `postal_code_from`,
      MIN(
        IF(
          (
            `t0`.`country` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `country_from`,
      MIN_BY(
        IF(
          (
            `t0`.`industry` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        ),
        IF(
          (
            `t0`.`industry` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank` - (
            `t0`.`industry_votes` * 4294967296
          ),
          NULL
        )
      ) AS `industry_from`,
      MIN(
        IF(
          (
            `t0`.`status` IS NOT NULL
          ) AND NOT (
            `t0`.`source` IN ('perspective')
          ),
          `t0`.`rank`,
          NULL
        )
      ) AS `status_from`
    FROM `ranked` AS `t0`
    GROUP BY
      1
  ) AS `t1`
) AS `t2`;

-- disputed
WITH `t1` AS (
  SELECT
    *
  FROM `ranked` AS `t0`
  WHERE
    `t0`.`member_count` > 1
)
SELECT
  `t7`.`source`,
  `t7`.`source_scope`,
  `t7`.`source_id`,
  `t7`.`email`,
  `t7`.`email_key`,
  IF(
    `t7`.`first_name_differs` AND (
      `t7`.`first_name` IS NOT NULL
    ),
    `t7`.`first_name`,
    NULL
  ) AS `first_name`,
  IF(
    `t7`.`last_name_differs` AND (
      `t7`.`last_name` IS NOT NULL
    ),
    `t7`.`last_name`,
    NULL
  ) AS `last_name`,
  IF(`t7`.`phone_differs` AND (
    `t7`.`phone` IS NOT NULL
  ), `t7`.`phone`, NULL) AS `phone`,
  IF(
    `t7`.`company_differs`
    AND (
      (
        `t7`.`company` IS NOT NULL
      ) AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`company`,
    NULL
  ) AS `company`,
  IF(
    `t7`.`title_differs`
    AND (
      (
        `t7`.`title` IS NOT NULL
      ) AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`title`,
    NULL
  ) AS `title`,
  IF(
    `t7`.`website_differs`
    AND (
      (
        `t7`.`website` IS NOT NULL
      ) AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`website`,
    NULL
  ) AS `website`,
  IF(
    `t7`.`address_differs`
    AND (
      (
        (
          `t7`.`postal_code` IS NOT NULL
        )
        OR (
          `t7`.`city` IS NOT NULL
        )
        OR (
          `t7`.`address` IS NOT NULL
        )
      )
      AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`address`,
    NULL
  ) AS `address`,
  IF(
    `t7`.`city_differs`
    AND (
      (
        (
          `t7`.`postal_code` IS NOT NULL
        )
        OR (
          `t7`.`city` IS NOT NULL
        )
        OR (
          `t7`.`address` IS NOT NULL
        )
      )
      AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`city`,
    NULL
  ) AS `city`,
  IF(
    `t7`.`state_differs`
    AND (
      (
        `t7`.`state` IS NOT NULL
      ) AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`state`,
    NULL
  ) AS `state`,
  IF(
    `t7`.`postal_code_differs`
    AND (
      (
        (
          `t7`.`postal_code` IS NOT NULL
        )
        OR (
          `t7`.`city` IS NOT NULL
        )
        OR (
          `t7`.`address` IS NOT NULL
        )
      )
      AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`postal_code`,
    NULL
  ) AS `postal_code`,
  IF(
    `t7`.`country_differs`
    AND (
      (
        `t7`.`country` IS NOT NULL
      ) AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`country`,
    NULL
  ) AS `country`,
  IF(
    `t7`.`industry_differs`
    AND (
      (
        `t7`.`industry` IS NOT NULL
      ) AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`industry`,
    NULL
  ) AS `industry`,
  IF(
    `t7`.`status_differs`
    AND (
      (
        `t7`.`status` IS NOT NULL
      ) AND NOT (
        `t7`.`source` IN ('perspective')
      )
    ),
    `t7`.`status`,
    NULL
  ) AS `status`,
  `t7`.`opted_out`,
  `t7`.`bounced`,
  `t7`.`created_at`,
  `t7`.`updated_at`,
  `t7`.`properties`,
  `t7`.`golden_key`,
  `t7`.`rank`,
  `t7`.`member_count`,
  `t7`.`rank_newest`,
  `t7`.`industry_votes`,
  `t7`.`first_name_differs`,
  `t7`.`last_name_differs`,
  `t7`.`phone_differs`,
  `t7`.`company_differs`,
  `t7`.`title_differs`,
  `t7`.`website_differs`,
  `t7`.`address_differs`,
  `t7`.`city_differs`,
  `t7`.`state_differs`,
  `t7`.`postal_code_differs`,
  `t7`.`country_differs`,
  `t7`.`industry_differs`,
  `t7`.`status_differs`,
  `t7`.`rank_newest` AS `phone_order`,
  `t7`.`rank` - (
    CAST(LENGTH(`t7`.`company`) AS BIGINT) * 4294967296
  ) AS `company_order`,
  `t7`.`rank` + (
    CAST(`t7`.`postal_code` IS NULL AS BIGINT) * 4294967296
  ) AS `address_order`,
  `t7`.`rank` + (
    CAST(`t7`.`postal_code` IS NULL AS BIGINT) * 4294967296
  ) AS `city_order`,
  `t7`.`rank` + (
    CAST(`t7`.`postal_code` IS NULL AS BIGINT) * 4294967296
  ) AS `postal_code_order`,
  `t7`.`rank` - (
    `t7`.`industry_votes` * 4294967296
  ) AS `industry_order`,
  `t7`.`address_differs`
  AND (
    `t7`.`address` IS NULL
  )
  AND (
    IF(
      (
        (
          `t7`.`postal_code` IS NOT NULL
        )
        OR (
          `t7`.`city` IS NOT NULL
        )
        OR (
          `t7`.`address` IS NOT NULL
        )
      )
      AND NOT (
        `t7`.`source` IN ('perspective')
      ),
      `t7`.`rank` + (
        CAST(`t7`.`postal_code` IS NULL AS BIGINT) * 4294967296
      ),
      NULL
    ) = MIN(
      IF(
        (
          (
            `t7`.`postal_code` IS NOT NULL
          )
          OR (
            `t7`.`city` IS NOT NULL
          )
          OR (
            `t7`.`address` IS NOT NULL
          )
        )
        AND NOT (
          `t7`.`source` IN ('perspective')
        ),
        `t7`.`rank` + (
          CAST(`t7`.`postal_code` IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) OVER (
      PARTITION BY `t7`.`golden_key`
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
  ) AS `address_absent`,
  `t7`.`city_differs`
  AND (
    `t7`.`city` IS NULL
  )
  AND (
    IF(
      (
        (
          `t7`.`postal_code` IS NOT NULL
        )
        OR (
          `t7`.`city` IS NOT NULL
        )
        OR (
          `t7`.`address` IS NOT NULL
        )
      )
      AND NOT (
        `t7`.`source` IN ('perspective')
      ),
      `t7`.`rank` + (
        CAST(`t7`.`postal_code` IS NULL AS BIGINT) * 4294967296
      ),
      NULL
    ) = MIN(
      IF(
        (
          (
            `t7`.`postal_code` IS NOT NULL
          )
          OR (
            `t7`.`city` IS NOT NULL
          )
          OR (
            `t7`.`address` IS NOT NULL
          )
        )
        AND NOT (
          `t7`.`source` IN ('perspective')
        ),
        `t7`.`rank` + (
          CAST(`t7`.`postal_code` IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) OVER (
      PARTITION BY `t7`.`golden_key`
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
  ) AS `city_absent`,
  `t7`.`postal_code_differs`
  AND (
    `t7`.`postal_code` IS NULL
  )
  AND (
    IF(
      (
        (
          `t7`.`postal_code` IS NOT NULL
        )
        OR (
          `t7`.`city` IS NOT NULL
        )
        OR (
          `t7`.`address` IS NOT NULL
        )
      )
      AND NOT (
        `t7`.`source` IN ('perspective')
      ),
      `t7`.`rank` + (
        CAST(`t7`.`postal_code` IS NULL AS BIGINT) * 4294967296
      ),
      NULL
    ) = MIN(
      IF(
        (
          (
            `t7`.`postal_code` IS NOT NULL
          )
          OR (
            `t7`.`city` IS NOT NULL
          )
          OR (
            `t7`.`address` IS NOT NULL
          )
        )
        AND NOT (
          `t7`.`source` IN ('perspective')
        ),
        `t7`.`rank` + (
          CAST(`t7`.`postal_code` IS NULL AS BIGINT) * 4294967296
        ),
        NULL
      )
    ) OVER (
      PARTITION BY `t7`.`golden_key`
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
  ) AS `postal_code_absent`
FROM (
  SELECT
    `t3`.`source`,
    `t3`.`source_scope`,
    `t3`.`source_id`,
    `t3`.`email`,
    `t3`.`email_key`,
    `t3`.`first_name`,
    `t3`.`last_name`,
    `t3`.`phone`,
    `t3`.`company`,
    `t3`.`title`,
    `t3`.`website`,
    `t3`.`address`,
    `t3`.`city`,
    `t3`.`state`,
    `t3`.`postal_code`,
    `t3`.`country`,
    `t3`.`industry`,
    `t3`.`status`,
    `t3`.`opted_out`,
    `t3`.`bounced`,
    `t3`.`created_at`,
    `t3`.`updated_at`,
    `t3`.`properties`,
    `t3`.`golden_key`,
    `t3`.`rank`,
    `t3`.`member_count`,
    `t3`.`rank_newest`,
    `t3`.`industry_votes`,
    `t6`.`first_name_differs`,
    `t6`.`last_name_differs`,
    `t6`.`phone_differs`,
    `t6`.`company_differs`,
    `t6`.`title_differs`,
    `t6`.`website_differs`,
    `t6`.`address_differs`,
    `t6`.`city_differs`,
    `t6`.`state_differs`,
    `t6`.`postal_code_differs`,
    `t6`.`country_differs`,
    `t6`.`industry_differs`,
    `t6`.`status_differs`
  FROM `t1` AS `t3`
  INNER JOIN (
    SELECT
      *
    FROM (
      SELECT
        `t2`.`golden_key`,
        MIN(IF(`t2`.`first_name` IS NOT NULL, `t2`.`first_name`, NULL)) <> MAX(IF(`t2`.`first_name` IS NOT NULL, `t2`.`first_name`, NULL)) AS `first_name_differs`,
        MIN(IF(`t2`.`last_name` IS NOT NULL, `t2`.`last_name`, NULL)) <> MAX(IF(`t2`.`last_name` IS NOT NULL, `t2`.`last_name`, NULL)) AS `last_name_differs`,
        MIN(IF(`t2`.`phone` IS NOT NULL, `t2`.`phone`, NULL)) <> MAX(IF(`t2`.`phone` IS NOT NULL, `t2`.`phone`, NULL)) AS `phone_differs`,
        MIN(
          IF(
            (
              `t2`.`company` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`company`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              `t2`.`company` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`company`,
            NULL
          )
        ) AS `company_differs`,
        MIN(
          IF(
            (
              `t2`.`title` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`title`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              `t2`.`title` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`title`,
            NULL
          )
        ) AS `title_differs`,
        MIN(
          IF(
            (
              `t2`.`website` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`website`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              `t2`.`website` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`website`,
            NULL
          )
        ) AS `website_differs`,
        MIN(
          IF(
            (
              (
                `t2`.`postal_code` IS NOT NULL
              )
              OR (
                `t2`.`city` IS NOT NULL
              )
              OR (
                `t2`.`address` IS NOT NULL
              )
            )
            AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`address`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              (
                `t2`.`postal_code` IS NOT NULL
              )
              OR (
                `t2`.`city` IS NOT NULL
              )
              OR (
                `t2`.`address` IS NOT NULL
              )
            )
            AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`address`,
            NULL
          )
        ) AS `address_differs`,
        MIN(
          IF(
            (
              (
                `t2`.`postal_code` IS NOT NULL
              )
              OR (
                `t2`.`city` IS NOT NULL
              )
              OR (
                `t2`.`address` IS NOT NULL
              )
            )
            AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`city`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              (
                `t2`.`postal_code` IS NOT NULL
              )
              OR (
                `t2`.`city` IS NOT NULL
              )
              OR (
                `t2`.`address` IS NOT NULL
              )
            )
            AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`city`,
            NULL
          )
        ) AS `city_differs`,
        MIN(
          IF(
            (
              `t2`.`state` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`state`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              `t2`.`state` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`state`,
            NULL
          )
        ) AS `state_differs`,
        MIN(
          IF(
            (
              (
                `t2`.`postal_code` IS NOT NULL
              )
              OR (
                `t2`.`city` IS NOT NULL
              )
              OR (
                `t2`.`address` IS NOT NULL
              )
            )
            AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`postal_code`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              (
                `t2`.`postal_code` IS NOT NULL
              )
              OR (
                `t2`.`city` IS NOT NULL
              )
              OR (
                `t2`.`address` IS NOT NULL
              )
            )
            AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`postal_code`,
            NULL
          )
        ) AS `postal_code_differs`,
        MIN(
          IF(
            (
              `t2`.`country` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`country`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              `t2`.`country` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`country`,
            NULL
          )
        ) AS `country_differs`,
        MIN(
          IF(
            (
              `t2`.`industry` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`industry`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              `t2`.`industry` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`industry`,
            NULL
          )
        ) AS `industry_differs`,
        MIN(
          IF(
            (
              `t2`.`status` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`status`,
            NULL
          )
        ) <> MAX(
          IF(
            (
              `t2`.`status` IS NOT NULL
            ) AND NOT (
              `t2`.`source` IN ('perspective')
            ),
            `t2`.`status`,
            NULL
          )
        ) AS `status_differs`
      FROM `t1` AS `t2`
      GROUP BY
        1
    ) AS `t4`
    WHERE
      `t4`.`first_name_differs`
      OR `t4`.`last_name_differs`
      OR `t4`.`phone_differs`
      OR `t4`.`company_differs`
      OR `t4`.`title_differs`
      OR `t4`.`website_differs`
      OR `t4`.`address_differs`
      OR `t4`.`city_differs`
      OR `t4`.`state_differs`
      OR `t4`.`postal_code_differs`
      OR `t4`.`country_differs`
      OR `t4`.`industry_differs`
      OR `t4`.`status_differs`
  ) AS `t6`
    ON `t3`.`golden_key` = `t6`.`golden_key`
) AS `t7`;

-- conflicts
SELECT
  `t4`.`golden_key` AS `email_key`,
  `t4`.`field`,
  ELEMENT_AT(`t4`.`candidates`, 0 + 1).`value` AS `winner`,
  ELEMENT_AT(`t4`.`candidates`, 0 + 1).`source` AS `winner_source`,
  ELEMENT_AT(`t4`.`candidates`, 0 + 1).`source_scope` AS `winner_scope`,
  ELEMENT_AT(`t4`.`candidates`, 0 + 1).`source_id` AS `winner_id`,
  CASE
    WHEN `t4`.`field` = 'phone'
    THEN 'newest'
    WHEN `t4`.`field` = 'company'
    THEN 'longest'
    WHEN `t4`.`field` = 'address'
    THEN 'group'
    WHEN `t4`.`field` = 'city'
    THEN 'group'
    WHEN `t4`.`field` = 'postal_code'
    THEN 'group'
    WHEN `t4`.`field` = 'industry'
    THEN 'most_common'
    ELSE IF(
      CASE
        WHEN ELEMENT_AT(`t4`.`candidates`, 0 + 1).`source` = 'hubspot'
        THEN 0
        WHEN ELEMENT_AT(`t4`.`candidates`, 0 + 1).`source` = 'persistiq'
        THEN 1
        ELSE 2
      END <> CASE
        WHEN ELEMENT_AT(
          FILTER(
            `t4`.`candidates`,
            __ibis_param_candidate__ -> NOT (
              __ibis_param_candidate__.`value` IS NOT DISTINCT FROM ELEMENT_AT(`t4`.`candidates`, 0 + 1).`value`
            )
          ),
          0 + 1
        ).`source` = 'hubspot'
        THEN 0
        WHEN ELEMENT_AT(
          FILTER(
            `t4`.`candidates`,
            __ibis_param_candidate__ -> NOT (
              __ibis_param_candidate__.`value` IS NOT DISTINCT FROM ELEMENT_AT(`t4`.`candidates`, 0 + 1).`value`
            )
          ),
          0 + 1
        ).`source` = 'persistiq'
        THEN 1
        ELSE 2
      END,
      'priority',
      IF(
        (
          (
            ELEMENT_AT(`t4`.`candidates`, 0 + 1).`updated_at`
          ) IS NOT NULL
        )
        AND (
          (
            (
              ELEMENT_AT(
                FILTER(
                  `t4`.`candidates`,
                  __ibis_param_candidate__ -> NOT (
                    __ibis_param_candidate__.`value` IS NOT DISTINCT FROM ELEMENT_AT(`t4`.`candidates`, 0 + 1).`value`
                  )
                ),
                0 + 1
              ).`updated_at`
            ) IS NULL
          )
          OR (
            ELEMENT_AT(`t4`.`candidates`, 0 + 1).`updated_at` > ELEMENT_AT(
              FILTER(
                `t4`.`candidates`,
                __ibis_param_candidate__ -> NOT (
                  __ibis_param_candidate__.`value` IS NOT DISTINCT FROM ELEMENT_AT(`t4`.`candidates`, 0 + 1).`value`
                )
              ),
              0 + 1
            ).`updated_at`
          )
        ),
        'newest',
        'source'
      )
    )
  END AS `rule`,
  `t4`.`candidates`
FROM (
  SELECT
    `t3`.`golden_key`,
    `t3`.`field`,
    ARRAY_SORT(`t3`.`candidates`) AS `candidates`
  FROM (
    SELECT
      `t2`.`golden_key`,
      `t2`.`field`,
      COLLECT_LIST(
        STRUCT(
          `t2`.`place` AS `place`,
          `t2`.`source` AS `source`,
          `t2`.`source_scope` AS `source_scope`,
          `t2`.`source_id` AS `source_id`,
          `t2`.`updated_at` AS `updated_at`,
          `t2`.`value` AS `value`
        )
      ) AS `candidates`
    FROM (
      SELECT
        `t1`.`source`,
        `t1`.`source_scope`,
        `t1`.`source_id`,
        `t1`.`email`,
        `t1`.`email_key`,
        `t1`.`opted_out`,
        `t1`.`bounced`,
        `t1`.`created_at`,
        `t1`.`updated_at`,
        `t1`.`properties`,
        `t1`.`golden_key`,
        `t1`.`rank`,
        `t1`.`member_count`,
        `t1`.`rank_newest`,
        `t1`.`industry_votes`,
        `t1`.`first_name_differs`,
        `t1`.`last_name_differs`,
        `t1`.`phone_differs`,
        `t1`.`company_differs`,
        `t1`.`title_differs`,
        `t1`.`website_differs`,
        `t1`.`address_differs`,
        `t1`.`city_differs`,
        `t1`.`state_differs`,
        `t1`.`postal_code_differs`,
        `t1`.`country_differs`,
        `t1`.`industry_differs`,
        `t1`.`status_differs`,
        `t1`.`phone_order`,
        `t1`.`company_order`,
        `t1`.`address_order`,
        `t1`.`city_order`,
        `t1`.`postal_code_order`,
        `t1`.`industry_order`,
        `t1`.`address_absent`,
        `t1`.`city_absent`,
        `t1`.`postal_code_absent`,
        `t1`.`__pivoted__`.`field` AS `field`,
        `t1`.`__pivoted__`.`value` AS `value`,
        CASE
          WHEN `t1`.`__pivoted__`.`field` = 'phone'
          THEN `t1`.`phone_order`
          WHEN `t1`.`__pivoted__`.`field` = 'company'
          THEN `t1`.`company_order`
          WHEN `t1`.`__pivoted__`.`field` = 'address'
          THEN `t1`.`address_order`
          WHEN `t1`.`__pivoted__`.`field` = 'city'
          THEN `t1`.`city_order`
          WHEN `t1`.`__pivoted__`.`field` = 'postal_code'
          THEN `t1`.`postal_code_order`
          WHEN `t1`.`__pivoted__`.`field` = 'industry'
          THEN `t1`.`industry_order`
          ELSE `t1`.`rank`
        END AS `place`
      FROM (
        SELECT
          `t0`.`source`,
          `t0`.`source_scope`,
          `t0`.`source_id`,
          `t0`.`email`,
          `t0`.`email_key`,
          `t0`.`opted_out`,
          `t0`.`bounced`,
          `t0`.`created_at`,
          `t0`.`updated_at`,
          `t0`.`properties`,
          `t0`.`golden_key`,
          `t0`.`rank`,
          `t0`.`member_count`,
          `t0`.`rank_newest`,
          `t0`.`industry_votes`,
          `t0`.`first_name_differs`,
          `t0`.`last_name_differs`,
          `t0`.`phone_differs`,
          `t0`.`company_differs`,
          `t0`.`title_differs`,
          `t0`.`website_differs`,
          `t0`.`address_differs`,
          `t0`.`city_differs`,
          `t0`.`state_differs`,
          `t0`.`postal_code_differs`,
          `t0`.`country_differs`,
          `t0`.`industry_differs`,
          `t0`.`status_differs`,
          `t0`.`phone_order`,
          `t0`.`company_order`,
          `t0`.`address_order`,
          `t0`.`city_order`,
          `t0`.`postal_code_order`,
          `t0`.`industry_order`,
          `t0`.`address_absent`,
          `t0`.`city_absent`,
          `t0`.`postal_code_absent`,
          EXPLODE(
            ARRAY(
              STRUCT('first_name' AS `field`, `t0`.`first_name` AS `value`),
              STRUCT('last_name' AS `field`, `t0`.`last_name` AS `value`),
              STRUCT('phone' AS `field`, `t0`.`phone` AS `value`),
              STRUCT('company' AS `field`, `t0`.`company` AS `value`),
              STRUCT('title' AS `field`, `t0`.`title` AS `value`),
              STRUCT('website' AS `field`, `t0`.`website` AS `value`),
              STRUCT('address' AS `field`, `t0`.`address` AS `value`),
              STRUCT('city' AS `field`, `t0`.`city` AS `value`),
              STRUCT('state' AS `field`, `t0`.`state` AS `value`),
              STRUCT('postal_code' AS `field`, `t0`.`postal_code` AS `value`),
              STRUCT('country' AS `field`, `t0`.`country` AS `value`),
              STRUCT('industry' AS `field`, `t0`.`industry` AS `value`),
              STRUCT('status' AS `field`, `t0`.`status` AS `value`)
            )
          ) AS `__pivoted__`
        FROM `disputed` AS `t0`
      ) AS `t1`
      WHERE
        (
          (
            `t1`.`__pivoted__`.`value`
          ) IS NOT NULL
        )
        OR (
          (
            `t1`.`__pivoted__`.`field` = 'address'
          ) AND `t1`.`address_absent`
        )
        OR (
          (
            `t1`.`__pivoted__`.`field` = 'city'
          ) AND `t1`.`city_absent`
        )
        OR (
          (
            `t1`.`__pivoted__`.`field` = 'postal_code'
          ) AND `t1`.`postal_code_absent`
        )
    ) AS `t2`
    GROUP BY
      1,
      2
  ) AS `t3`
) AS `t4`;
